"""`settle doctor --provider commonsdb`: the calls that change nothing, and what they say of our assumptions."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.errors import ConfigurationError
from providers.base import Probe
from providers.commonsdb import shown
from providers.commonsdb.identifier import cid_v1
from providers.errors import NotReady, ProviderError, Unauthorized

if TYPE_CHECKING:
    from providers.commonsdb import CommonsDB

#: Nobody can have declared this: an identifier holds a time, and this object has none.
_NOBODY = cid_v1({"name": "settle doctor"})
_ISCC = "ISCC:" + "A" * 55

#: Half of the window: a clock that is further off leaves too little of it, seconds (contract 2.2).
_OFF = 30.0

_RENEW = "put one that is in force into the file that SETTLE_COMMONSDB__CREDENTIALS_FILE names, and restart the workers"


async def probe(provider: CommonsDB) -> list[Probe]:
    """Ask for what nobody declared, have a stamp made, and look at the key.

    Raises:
        ProviderError: status does not answer, or the key is refused.
    """
    probes = await _status(provider)
    probes += [await _shown(provider, who) for who in ("metadata", "search")]
    probes += _signing(provider)
    if provider.settings.signs:
        probes.append(await _stamp(provider))
    return probes


async def _status(provider: CommonsDB) -> list[Probe]:
    sent = provider.notes.now()
    answer = await provider.http.call("GET", f"/v1/status/{_NOBODY}")
    middle = (sent + provider.notes.now()) / 2
    if answer.status != 404:
        answer.check("error", "message")
        return [
            Probe(
                f"status answers HTTP {answer.status} for an identifier that nobody declared, not 404",
                "a lost submission cannot be told from an accepted one: do not use this API until that is understood",
            )
        ]
    return [Probe("status answers 404 for an identifier that nobody declared"), _clock(answer.headers, middle)]


def _clock(headers: Mapping[str, str], ours: float) -> Probe:
    try:
        theirs = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return Probe("the service does not tell its time")
    off = theirs - ours
    remedy = "put this machine's clock right (NTP): a declaration counts for 60 s only" if abs(off) > _OFF else ""
    return Probe(
        f"this machine's clock is {abs(off):.0f} s {'behind' if off > 0 else 'ahead of'} the service's", remedy
    )


async def _shown(provider: CommonsDB, who: str) -> Probe:
    others = ", ".join(f'"{each}"' for each in ("metadata", "search") if each != who)
    remedy = f"set SETTLE_COMMONSDB__CONFIRM_BY=[{others}], or no job is confirmed"
    try:
        if who == "metadata":
            found = await shown.in_metadata(provider.http, _NOBODY)
        else:
            found = await shown.in_search(provider.http, _ISCC, _NOBODY)
    except Unauthorized:
        return Probe(f"{who} does not take the key", remedy)
    except ProviderError as error:
        return Probe(f"{who} does not answer as assumed: {error}", remedy)
    return Probe(f"{who} shows what nobody declared", remedy) if found else Probe(f"{who} answers as assumed")


def _signing(provider: CommonsDB) -> list[Probe]:
    settings, what = provider.settings, "only declarations that their caller has signed can be sent"
    if not settings.signs:
        return [Probe(what, "set SETTLE_COMMONSDB__SIGNING_KEY_FILE, if metadata is to be declared")]
    try:
        provider.signer.check()
    except ConfigurationError as error:
        return [Probe(what, str(error))]
    probes = [Probe("the signing key is a private P-256 key")]
    if settings.declarer_id is None:
        probes.append(Probe("each job must name its declarerId", "set SETTLE_COMMONSDB__DECLARER_ID"))
    try:
        probes += [_valid(credential, provider.notes.now()) for credential in provider.signer.credentials]
    except ConfigurationError as error:
        probes.append(Probe("each job must bring its credentials", str(error)))
    return probes


def _valid(credential: Mapping[str, Any], now: float) -> Probe:
    """The service does not look at these dates (contract 2.2), but whoever reads the record may."""
    for name in ("validFrom", "validUntil"):
        try:
            at = datetime.fromisoformat(str(credential.get(name)))
        except ValueError:
            return Probe(f"a credential has no {name} that is a date", _RENEW)
        moment = at.replace(tzinfo=at.tzinfo or UTC).timestamp()
        if (now < moment) if name == "validFrom" else (now > moment):
            return Probe(f"a credential is not in force: its {name} is {at.date()}", _RENEW)
    return Probe(f"a credential is in force until {at.date()}")


async def _stamp(provider: CommonsDB) -> Probe:
    try:
        _, at = await provider.stamper.stamp(b"settle doctor")
    except NotReady as error:
        return Probe(str(error), "check SETTLE_COMMONSDB__TSA_URL and SETTLE_COMMONSDB__TSA_HASH")
    off = at.timestamp() - provider.notes.now()
    remedy = "put this machine's clock right (NTP), or choose another SETTLE_COMMONSDB__TSA_URL"
    return Probe(
        f"the time-stamp authority grants stamps; its clock and ours differ by {abs(off):.0f} s",
        remedy if abs(off) > _OFF else "",
    )
