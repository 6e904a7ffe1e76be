"""`settle doctor --provider commonsdb`: what harmless calls tell, and that they are harmless."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from providers.base import Probe
from providers.errors import Unauthorized
from simulator import samples

from .bench import DECLARE, Bench, client, go
from .desk import Desk
from .server import Seen, http, nobody, scripted

NOTHING = http(404, {"error": "Not found", "message": "none"})


def asked(desk: Desk, **more: Any) -> list[Probe]:
    """What the probe tells of the simulator."""

    async def check() -> list[Probe]:
        url = desk.bench.sim.base_urls["commonsdb"]
        async with client("commonsdb", url, notes=desk.notes, **{**desk.settings(), **more}) as provider:
            return await provider.probe()

    return go(check())


def remedies(probes: list[Probe]) -> list[str]:
    """What would have to be changed."""
    return [probe.remedy for probe in probes if probe.remedy]


@pytest.mark.parametrize("shape", ["declaration", "public", "full"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_all_is_as_assumed(desk: Desk, shape: str, content_type: str) -> None:
    """Under every shape of metadata; nothing was declared."""
    desk.bench.sim.set_switches("commonsdb", metadata_shape=shape, content_type=content_type)
    probes = asked(desk)
    assert remedies(probes) == []
    assert len(probes) == 7
    assert desk.bench.count(DECLARE) == {}
    assert desk.bench.sim.account()["tsa"].requests == {"stamp": {"200": 1}}


def test_without_a_key_to_sign_no_stamp_is_asked_for(desk: Desk) -> None:
    """And the remedy names the setting."""
    (remedy,) = remedies(asked(desk, signing_key=None))
    assert "SETTLE_COMMONSDB__SIGNING_KEY_FILE" in remedy
    assert "tsa" not in desk.bench.sim.account().providers or not desk.bench.sim.account()["tsa"].requests


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"signing_key": "rubbish"}, "SETTLE_COMMONSDB__SIGNING_KEY"),
        ({"declarer_id": None}, "SETTLE_COMMONSDB__DECLARER_ID"),
        ({"credentials_file": None}, "SETTLE_COMMONSDB__CREDENTIALS_FILE"),
        ({"credentials_file": "nowhere"}, "SETTLE_COMMONSDB__CREDENTIALS_FILE"),
    ],
)
def test_what_signing_lacks_is_named(desk: Desk, change: dict[str, Any], named: str) -> None:
    """Each by its variable."""
    assert any(named in remedy for remedy in remedies(asked(desk, **change)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"validUntil": "2020-01-01T00:00:00.000Z"}, "validUntil"),
        ({"validFrom": "2999-01-01T00:00:00+01:00"}, "validFrom"),
        ({"validUntil": "2020-01-01T00:00:00"}, "validUntil"),
        ({"validUntil": None}, "validUntil"),
        ({"validFrom": "soon"}, "validFrom"),
    ],
    ids=["over", "not-yet", "over-without-zone", "no-date", "rubbish"],
)
def test_a_credential_that_is_not_in_force_is_named(desk: Desk, change: dict[str, Any], named: str) -> None:
    """Each of the file is looked at."""
    desk.credentials.write_text(json.dumps([samples.credential(), {**samples.credential(), **change}]))
    (found,) = [probe for probe in asked(desk) if probe.remedy]
    assert named in found.what
    assert "SETTLE_COMMONSDB__CREDENTIALS_FILE" in found.remedy


def test_an_authority_that_gives_no_stamp_is_named(desk: Desk) -> None:
    """Not there at all."""

    async def check() -> None:
        async with nobody() as url:
            own = {**desk.settings(), "tsa_url": url}
            base = desk.bench.sim.base_urls["commonsdb"]
            async with client("commonsdb", base, notes=desk.notes, **own) as provider:
                (remedy,) = remedies(await provider.probe())
                assert "SETTLE_COMMONSDB__TSA_URL" in remedy

    go(check())


def test_a_refused_key_is_an_error(bench: Bench) -> None:
    """The doctor says so, once for the whole API."""

    async def check() -> None:
        async with client("commonsdb", bench.sim.base_urls["commonsdb"], key="another-key") as provider:
            with pytest.raises(Unauthorized):
                await provider.probe()

    go(check())


@pytest.mark.parametrize(
    ("metadata", "search", "remedy"),
    [
        (http(403), http(200, {"results": []}), '=["search"]'),
        (NOTHING, http(404), '=["metadata"]'),
        (http(200, b"<html>"), http(200, {"results": []}), '=["search"]'),
        (NOTHING, http(200, {"hits": []}), '=["metadata"]'),
        (NOTHING, http(401), '=["metadata"]'),
    ],
    ids=["metadata-forbidden", "no-search", "metadata-rubbish", "other-search", "search-unauthorized"],
)
def test_who_cannot_confirm_is_left_out_by_a_setting(metadata: bytes, search: bytes, remedy: str) -> None:
    """The path of metadata is only known from code: the setting to change is given to be copied."""

    def answer(seen: Seen) -> bytes:
        return metadata if "/metadata/" in seen.path else search if "/search/" in seen.path else NOTHING

    async def check() -> None:
        async with scripted(answer) as server, client("commonsdb", server.url) as provider:
            found = [each for each in remedies(await provider.probe()) if "CONFIRM_BY" in each]
            assert len(found) == 1
            assert f"SETTLE_COMMONSDB__CONFIRM_BY{remedy}" in found[0]
            assert {seen.method for seen in server.seen} == {"GET"}

    go(check())


@pytest.mark.parametrize(("off", "wrong"), [(0, False), (20, False), (-20, False), (45, True), (-45, True)])
def test_a_clock_that_is_off_is_named(off: int, wrong: bool) -> None:
    """By the `Date` of the service's own answer."""

    def answer(_: Seen) -> bytes:
        date = {"Date": formatdate(time.time() + off, usegmt=True)}
        return http(404, {"error": "Not found"}, date)

    async def check() -> None:
        async with scripted(answer) as server, client("commonsdb", server.url) as provider:
            assert any("NTP" in each for each in remedies(await provider.probe())) is wrong

    go(check())


def test_a_status_for_what_nobody_declared_is_alarming() -> None:
    """Then a lost submission could not be told from an accepted one."""

    async def check() -> None:
        async with (
            scripted(lambda _: http(200, {"status": "pending", "results": []})) as server,
            client("commonsdb", server.url) as provider,
        ):
            assert any("lost submission" in each for each in remedies(await provider.probe()))

    go(check())


def test_the_sample_is_an_identifier_of_nothing_that_can_be_declared() -> None:
    """It has the form of one, and no time in it."""
    from providers.commonsdb.probe import _NOBODY

    assert samples.cid_v1({"name": "settle doctor"}) == _NOBODY
