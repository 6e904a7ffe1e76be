"""LettrLabs: what the calls that change nothing tell of the real API (contract lettrlabs 11)."""

from __future__ import annotations

from typing import Any

from providers.base import Probe, Provider
from providers.errors import BadAnswer, NotFound, PermanentError, scrub
from providers.lettrlabs.answers import envelope_of, upload_id, uploaded_at

#: An id that no account has yet: the largest signed 32-bit integer.
_NO_SUCH = 2**31 - 1


async def probe(provider: Provider) -> list[Probe]:
    """Ask for the profile, the list, the newest upload's status and an unknown id.

    Raises:
        ProviderError: the provider does not answer, or refuses the key.
    """
    found = [await _key(provider)]
    entries, told = await _list(provider)
    return [*found, *told, *await _status(provider, entries), await _unknown(provider)]


async def _key(provider: Provider) -> Probe:
    try:
        (await provider.http.call("GET", "/v1/me")).check()
    except (PermanentError, BadAnswer):  # not part of the conversions group: its answer decides nothing
        return Probe("GET /v1/me is refused; the other calls show whether the key works")
    return Probe("the key is accepted (GET /v1/me)")


async def _list(provider: Provider) -> tuple[list[dict[str, Any]], list[Probe]]:
    no_list = f'set SETTLE_{provider.name.upper()}__ID_FROM to ["payload", "metadata"]'
    try:
        params = {"pageNumber": "0", "pageSize": "500"}
        payload = envelope_of(await provider.http.call("GET", "/v1/conversions", params=params)).get("payload")
    except PermanentError as error:
        return [], [Probe(f"the list of uploads is refused ({error}): a lost upload cannot be found again", no_list)]
    if not isinstance(payload, list):
        return [], [Probe("the list of uploads is no array: a lost upload cannot be found again", no_list)]
    entries = [entry for entry in payload if isinstance(entry, dict)]
    if not entries:
        return [], [Probe("the list of uploads is empty: its elements and the status words could not be seen")]
    told = []
    readable = [entry for entry in entries if upload_id(entry.get("id")) and uploaded_at(entry.get("uploadDate"))]
    if len(readable) < len(entries):
        what = f"{len(entries) - len(readable)} of {len(entries)} uploads in the list have no readable id or uploadDate"
        told.append(Probe(f"{what}: a lost one may not be found again", no_list))
    else:
        dates = [uploaded_at(entry["uploadDate"]) for entry in entries]
        order = "newest first" if dates == sorted(dates, reverse=True) else "not newest first"
        zone = all(str(entry["uploadDate"]).endswith("Z") or "+" in str(entry["uploadDate"]) for entry in entries)
        told.append(
            Probe(
                f"the list of uploads is as assumed: {len(entries)} on the first page, {order}, dates "
                f"{'with' if zone else 'without'} a time zone{'' if zone else ' (taken for UTC)'}"
            )
        )
        if max(dates) > provider.notes.now() + 120:
            told.append(Probe("an uploadDate lies in the future", "set this machine's clock (NTP)"))
    return readable, told


async def _status(provider: Any, entries: list[dict[str, Any]]) -> list[Probe]:
    words = {word for entry in entries if isinstance(word := entry.get("status"), str)}
    told: list[Probe] = []
    if entries:
        newest = max(entries, key=lambda entry: uploaded_at(entry["uploadDate"]))
        try:
            answer = await provider.http.call("GET", f"/v1/conversions/{upload_id(newest['id'])}/status")
            payload = envelope_of(answer).get("payload")
        except PermanentError as error:
            return [
                Probe(f"the status of the newest upload is refused ({error})", "ask the provider: nothing can be set")
            ]
        word = payload.get("status") if isinstance(payload, dict) else None
        if isinstance(word, str):
            words.add(word)
            told.append(Probe("the status of an upload is asked by the id of the list, and has a status word"))
        else:
            told.append(Probe("the status of an upload has no status word", "ask the provider: nothing can be set"))
    tables = (provider.words, provider.deletion_words)
    for word in sorted(words):
        if not any(table.verdict(word)[1] for table in tables):
            fields = "WORDS_RUNNING, WORDS_SUCCEEDED, WORDS_FAILED, WORDS_DELETING, WORDS_DELETED, WORDS_UNDELETED"
            remedy = f"add it to one of SETTLE_{provider.name.upper()}__{{{fields}}}; until then it means running"
            told.append(Probe(f"unknown status word {scrub(word, limit=60)!r}", remedy))
    if words and not any(each.remedy for each in told):
        told.append(Probe("every status word seen is known"))
    return told


async def _unknown(provider: Provider) -> Probe:
    try:
        envelope_of(await provider.http.call("GET", f"/v1/conversions/{_NO_SUCH}/status"))
    except NotFound:
        return Probe("an unknown upload is 404, as assumed: a deletion may end so")
    except PermanentError as error:
        what = f"an unknown upload is no 404 but an error ({error})"
    else:
        what = "an unknown upload is no 404 but an answer"
    return Probe(what, f"put the word of a deleted upload into SETTLE_{provider.name.upper()}__WORDS_DELETED")
