"""`settle doctor --provider myipr`: what it asks, and what it says where the real API differs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from providers.base import Probe
from providers.errors import ProviderError, Unauthorized
from simulator import samples

from .bench import CERTIFY, Bench, client, go
from .server import Seen, http, scripted

#: All that it may ask: nothing of it changes anything.
HARMLESS = {"recent_files", "categories", "get_version", "certificate", "certificate_pdf"}


def certified(bench: Bench, *names: str, wait: float = 3600.0) -> None:
    """Certificates of the account, one an hour."""
    headers = {"Authorization": f"SECRET {bench.sim.keys['myipr']}"}
    with httpx.Client(base_url=bench.sim.base_urls["myipr"], headers=headers, verify=False, trust_env=False) as other:  # noqa: S501
        for name in names:
            bench.sim.plan("myipr", name, outcome="success", duration=5)
            other.post("/create", json=samples.certificate_request(name)).raise_for_status()
            bench.clock.advance(wait)


def probed(bench: Bench, **settings: Any) -> list[Probe]:
    """What the probe says of the simulator."""

    async def ask() -> list[Probe]:
        async with bench.provider("myipr", **settings) as provider:
            return await provider.probe()

    return go(ask())


def remedies(found: list[Probe]) -> str:
    """All that is to be done."""
    return " ".join(probe.remedy for probe in found if probe.remedy)


def test_nothing_is_wrong_and_nothing_is_changed(bench: Bench) -> None:
    """Each part of the API that jobs need was looked at, by reads alone."""
    certified(bench, "one", "two")
    before = bench.sim.account()["myipr"]
    found = probed(bench)
    assert remedies(found) == ""
    said = " ".join(probe.what for probe in found)
    for part in ("/recent-files", "newest come first", "Legal", "'completed'", "leads to a PDF"):
        assert part in said
    after = bench.sim.account()["myipr"]
    assert {name for name, job in after.jobs.items() if job.accepted} == {"one", "two"}
    asked = {
        name
        for name, codes in after.requests.items()
        if sum(codes.values()) > sum(before.requests.get(name, {}).values())
    }
    assert asked == HARMLESS


def test_nothing_personal_is_said(bench: Bench) -> None:
    """No names of files or people, no link, no key."""
    certified(bench, "Testament of Ada", "Second")
    said = str(probed(bench))
    for secret in ("Testament", "Ada", "Example", "X-Amz", "127.0.0.1", bench.sim.keys["myipr"]):
        assert secret not in said


def test_an_empty_account_is_said_to_be_one(bench: Bench) -> None:
    """What could not be looked at is no finding, but is not passed over either."""
    found = probed(bench)
    assert remedies(found) == ""
    assert "no certificate yet" in found[-1].what
    assert "cannot be told" in " ".join(probe.what for probe in found)


@pytest.mark.parametrize(
    ("switches", "settings", "remedy"),
    [
        ({"categories_method": "POST"}, {}, "SETTLE_MYIPR__CATEGORIES_METHOD=POST"),
        ({}, {"categories_method": "POST"}, "SETTLE_MYIPR__CATEGORIES_METHOD=GET"),
        ({"categories_fields": ("ref", "title")}, {}, "SETTLE_MYIPR__CATEGORIES_ID"),
        ({"recent_order": "oldest"}, {"recent_order": "newest"}, "SETTLE_MYIPR__RECENT_ORDER=unknown"),
        ({}, {"words_succeeded": ("done",)}, "SETTLE_MYIPR__WORDS_SUCCEEDED"),
        ({"certificate_delay_seconds": 10**6}, {}, "SETTLE_MYIPR__CERTIFICATE=false"),
        ({"certificate_link_seconds": 1e-9}, {}, "SETTLE_MYIPR__CERTIFICATE=false"),
        ({"bare_completed_seconds": 10**6}, {}, "not taken for done"),
    ],
    ids=str,
)
def test_each_difference_names_its_setting(
    bench: Bench, switches: dict[str, Any], settings: dict[str, Any], remedy: str
) -> None:
    """One at a time, and only that one."""
    bench.sim.set_switches("myipr", **switches)
    certified(bench, "one", "two")
    found = [probe for probe in probed(bench, **settings) if probe.remedy]
    assert len(found) == 1
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    "switches",
    [
        {"http_code": "always_200"},
        {"success_code": 200},
        {"categories_key": "results", "categories_id_type": "string"},
        {"certificate_result_array": True},
        {"results_beside_result": True},
        {"recent_order": "oldest"},
        {"time_format": "epoch_ms"},
        {"time_format": "sql"},
    ],
    ids=str,
)
def test_what_is_taken_either_way_needs_nothing(bench: Bench, switches: dict[str, Any]) -> None:
    """No remedy where none is needed."""
    bench.sim.set_switches("myipr", **switches)
    certified(bench, "one", "two")
    found = probed(bench)
    assert remedies(found) == ""
    newest = any("newest come first" in probe.what for probe in found)
    assert newest is ("recent_order" not in switches)


def test_categories_are_asked_by_the_method_of_the_settings_only(bench: Bench) -> None:
    """Nobody knows what the other one does."""
    bench.sim.set_switches("myipr", categories_method="POST")
    seen: list[Seen] = []

    def answer(request: Seen) -> bytes:
        seen.append(request)
        return http(404 if request.path == "/categories" else 200, {"status": 200, "result": []})

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            await provider.probe()

    go(check())
    assert [(each.method, each.path) for each in seen] == [("GET", "/recent-files?page=1"), ("GET", "/categories")]


def test_a_finished_version_is_looked_at_first(bench: Bench) -> None:
    """A running one has nothing to compare yet."""
    certified(bench, "finished")
    certified(bench, "running", wait=0)
    assert "leads to a PDF" in probed(bench)[-1].what


def test_a_running_version_is_better_than_none(bench: Bench) -> None:
    """Its word can be told; no PDF is asked for."""
    certified(bench, "running", wait=0)
    assert "'in_progress'" in probed(bench)[-1].what
    assert bench.count(CERTIFY, "certificate") == {}


def test_no_pdf_is_asked_for_where_none_is_wanted(bench: Bench) -> None:
    """The setting decides."""
    certified(bench, "one")
    probed(bench, certificate=False)
    assert bench.count(CERTIFY, "certificate") == {}


@pytest.mark.parametrize("kind", ["401", "500", "reset", "rubbish"])
def test_without_an_answer_there_is_no_finding(bench: Bench, kind: Any) -> None:
    """The first call tells whether anybody is there and takes the key."""
    bench.sim.fault("myipr", kind, operation="recent_files")
    with pytest.raises(Unauthorized if kind == "401" else ProviderError):
        probed(bench)


@pytest.mark.parametrize("operation", ["categories", "get_version", "certificate"])
@pytest.mark.parametrize("kind", ["401", "500", "429", "reset", "rubbish"])
def test_a_later_call_that_fails_is_one_finding(bench: Bench, operation: str, kind: Any) -> None:
    """The others are told all the same."""
    certified(bench, "one", "two")
    bench.sim.fault("myipr", kind, operation=operation)
    found = probed(bench)
    (wrong,) = [probe for probe in found if probe.remedy]
    assert wrong.what.startswith("/")
    assert len(found) >= 4


def test_a_foreign_host_of_certificates_is_named() -> None:
    """It is not asked; whether it is trusted is a person's decision."""
    version = {"version_id": "v-1", "status": "completed", "transaction_id": "t", "hash": "ab", "error": {}}
    answers = {
        "/recent-files?page=1": [{"name": "x", "primary_version_id": "v-1", "status": "completed"}],
        "/categories": [{"id": 1, "name": "Art"}],
        "/get-version/v-1": version,
        "/get-version/v-1/certificate": {"certificateLink": "https://files.example/c.pdf?X-Amz-Signature=00ff"},
    }

    async def check() -> list[Probe]:
        def answer(seen: Seen) -> bytes:
            return http(200, {"status": 200, "result": answers[seen.path]})

        async with scripted(answer) as server, client("myipr", server.url) as provider:
            return await provider.probe()

    (wrong,) = [probe for probe in go(check()) if probe.remedy]
    assert "files.example" in wrong.what
    assert "00ff" not in wrong.what
    assert "SETTLE_MYIPR__DOWNLOAD_HOSTS" in wrong.remedy


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ({"status": "minted"}, "'minted'"),
        ({"status": 7}, "no text"),
        ({"status": "completed", "hash": "ab"}, "transaction_id"),
        ({"status": "completed", "transaction_id": "t"}, "hash"),
        ({"status": "completed", "transaction_id": "t", "hash": "ab", "error": {"code": 0}}, "error"),
    ],
    ids=str,
)
def test_a_version_that_would_not_end_well_is_said(version: dict[str, Any], said: str) -> None:
    """The rule of 3.3, looked at from the outside."""
    entry = {"name": "x", "primary_version_id": "v-1", "status": "completed"}
    shown = {"/recent-files?page=1": [entry], "/categories": [{"id": 1, "name": "Art"}]}

    async def check() -> list[Probe]:
        def answer(seen: Seen) -> bytes:
            return http(200, {"status": 200, "result": shown.get(seen.path, version)})

        async with scripted(answer) as server, client("myipr", server.url, certificate=False) as provider:
            return await provider.probe()

    (wrong,) = [probe for probe in go(check()) if probe.remedy]
    assert said in wrong.what


def test_entries_that_cannot_be_used_are_said() -> None:
    """Without a name, or without a version, a lost submission is not found."""
    entries = [{"name": "a"}, {"primary_version_id": "v"}, {"name": "b", "primary_version_id": "v/x?"}]

    async def check() -> list[Probe]:
        def answer(seen: Seen) -> bytes:
            return http(200, {"status": 200, "result": entries if "recent" in seen.path else [{"id": 1, "name": "A"}]})

        async with scripted(answer) as server, client("myipr", server.url, certificate=False) as provider:
            return await provider.probe()

    first = go(check())[0]
    assert "3 entries" in first.what
    assert "0 with name" in first.what
    assert "settle resolve" in first.remedy
