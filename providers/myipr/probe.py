"""What `settle doctor --provider myipr` asks: reads only, some of which are POSTs, as the contract wants (9).

Names of files and people in the answers are personal: nothing of them is told.
"""

from __future__ import annotations

from typing import Any

from providers.base import Probe, Verdict, id_text
from providers.errors import ForeignHost, ProviderError, scrub
from providers.http import segment
from providers.myipr.answers import one, results
from providers.myipr.categories import pairs, shown
from providers.myipr.certificate import certificate


async def look_around(provider: Any) -> list[Probe]:
    """Compare the real API with what is assumed of it.

    Args:
        provider: a `MyIPR`.

    Raises:
        ProviderError: the first call, `/recent-files`, brought no answer; nothing else was asked then.
    """
    entries = results(await provider.http.call("GET", "/recent-files", params={"page": "1"}))
    found = [_listed(entries), _order(entries, provider.settings.recent_order), await _categories(provider)]
    version = _pick(provider, entries)
    if version is None:
        found.append(Probe("there is no certificate yet, so neither a version nor a PDF could be looked at"))
        return found
    verdict, probe = await _version(provider, version)
    found.append(probe)
    if provider.settings.certificate and verdict is Verdict.SUCCEEDED:
        found.append(await _certificate(provider, version))
    return found


def _listed(entries: list[dict[str, Any]]) -> Probe:
    usable = [entry for entry in entries if isinstance(entry.get("name"), str) and id_text(_primary(entry))]
    what = f"/recent-files: {len(entries)} entries on its first page, {len(usable)} with name and primary_version_id"
    if len(usable) == len(entries):
        return Probe(what)
    return Probe(what, "a lost submission may not be found again: settle its doubt with `settle resolve`")


def _primary(entry: dict[str, Any]) -> Any:
    return entry.get("primary_version_id")


def _order(entries: list[dict[str, Any]], setting: str) -> Probe:
    """Times of one spelling can be compared as text, whatever it is."""
    times = [entry.get("createdAt") for entry in entries]
    texts = [time for time in times if isinstance(time, str) and time]
    if len(texts) < 2 or len(texts) < len(times) or len({len(text) for text in texts}) > 1 or texts[0] == texts[-1]:
        remedy = "" if setting == "unknown" else "set SETTLE_MYIPR__RECENT_ORDER=unknown until it is known"
        return Probe("/recent-files: its order cannot be told", remedy)
    if texts == sorted(texts, reverse=True):
        more = "" if setting == "newest" else ": SETTLE_MYIPR__RECENT_ORDER=newest would end each search earlier"
        return Probe(f"/recent-files: the newest come first{more}")
    remedy = "" if setting == "unknown" else "set SETTLE_MYIPR__RECENT_ORDER=unknown"
    return Probe("/recent-files: the newest do not come first", remedy)


async def _categories(provider: Any) -> Probe:
    settings = provider.settings
    other = "POST" if settings.categories_method == "GET" else "GET"
    try:
        entries = results(await provider.http.call(settings.categories_method, "/categories"))
    except ProviderError as error:
        # The other method is not tried: nobody knows what it does.
        remedy = f"try SETTLE_MYIPR__CATEGORIES_METHOD={other}, or give category_id instead of category"
        return Probe(f"/categories by {settings.categories_method}: {error}", remedy)
    listed = pairs(entries, settings.categories_id, settings.categories_name)
    if listed:
        return Probe(f"/categories by {settings.categories_method}: {shown(listed)}")
    return Probe(
        f"/categories by {settings.categories_method}: no entry has both {settings.categories_id!r} and "
        f"{settings.categories_name!r}",
        "set SETTLE_MYIPR__CATEGORIES_ID and SETTLE_MYIPR__CATEGORIES_NAME to the names of its fields",
    )


def _pick(provider: Any, entries: list[dict[str, Any]]) -> str | None:
    """A version to look at: a finished one if there is one."""
    known = [(entry.get("status"), id_text(_primary(entry))) for entry in entries]
    usable = [(status, version) for status, version in known if version is not None]
    done = [version for status, version in usable if provider.words.verdict(status)[0] is Verdict.SUCCEEDED]
    return next(iter(done or [version for _, version in usable]), None)


async def _version(provider: Any, version: str) -> tuple[Verdict | None, Probe]:
    try:
        seen = one(await provider.http.call("POST", f"/get-version/{segment(version)}"), version)
    except ProviderError as error:
        return None, Probe(f"/get-version: {error}", "without it no job can be polled: check SETTLE_MYIPR__BASE_URL")
    word = seen.get("status")
    if not isinstance(word, str):
        return None, Probe("/get-version: `status` is no text", "without it no job ends but at its deadline")
    verdict, known = provider.words.verdict(word)
    what = f"/get-version: `status` is {scrub(word, limit=60)!r}"
    if not known:
        return verdict, Probe(
            f"{what}, a word that is not known, so it counts as running",
            "add it to SETTLE_MYIPR__WORDS_RUNNING, SETTLE_MYIPR__WORDS_SUCCEEDED or SETTLE_MYIPR__WORDS_FAILED",
        )
    if verdict is Verdict.SUCCEEDED:
        lacking = [name for name in ("transaction_id", "hash") if not (isinstance(seen.get(name), str) and seen[name])]
        lacking += ["an empty `error`"] if seen.get("error") else []
        if lacking:
            return verdict, Probe(f"{what}, but it lacks {' and '.join(lacking)}", "such a job is not taken for done")
    return verdict, Probe(what)


async def _certificate(provider: Any, version: str) -> Probe:
    try:
        async with certificate(provider.http, version) as chunks:
            async for _ in chunks:
                break
    except ForeignHost as error:
        return Probe(f"/certificate: {error}", "add that host to SETTLE_MYIPR__DOWNLOAD_HOSTS, if it is to be trusted")
    except ProviderError as error:
        remedy = "set SETTLE_MYIPR__CERTIFICATE=false, if no PDF is wanted"
        return Probe(f"/certificate: {error}", remedy)
    return Probe("/certificate: the link leads to a PDF")
