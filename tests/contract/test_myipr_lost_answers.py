"""myIPR: a lost submission is looked for in the list; a refusal as duplicate may be our own."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from providers.errors import (
    BadAnswer,
    LostAnswer,
    Refused,
    TransientError,
)
from simulator import samples

from .bench import CERTIFY, Bench, client, finished, go
from .myipr import DONE, INTENT
from .server import Seen, http, scripted


def somebody_certifies(bench: Bench, *names: str, **changes: Any) -> None:
    """Certificates that are there already."""
    headers = {"Authorization": f"SECRET {bench.sim.keys['myipr']}"}
    with httpx.Client(base_url=bench.sim.base_urls["myipr"], headers=headers, verify=False, trust_env=False) as other:  # noqa: S501
        for name in names:
            other.post("/create", json={**samples.certificate_request(name), **changes}).raise_for_status()


@pytest.mark.parametrize("reveals", [False, True])
@pytest.mark.parametrize(
    ("code", "http_code"), [(400, "true"), (409, "true"), (400, "always_200"), (409, "always_200")]
)
@pytest.mark.parametrize("shape", ["envelope", "hint"])
def test_a_refusal_as_duplicate_may_be_our_own(
    bench: Bench, code: int, reveals: bool, http_code: str, shape: str
) -> None:
    """The name and the hash are looked up, and the certificate is adopted: one certificate, no failure."""
    bench.sim.set_switches(
        "myipr", duplicate_code=code, duplicate_reveals_ids=reveals, http_code=http_code, error_shape=shape
    )
    bench.sim.fault("myipr", "reset_after", operation="create", times=1)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            receipt = await trip.submit()
            assert receipt["file_id"]
            finished(CERTIFY, await trip.watch())

    go(check())
    assert bench.accepted(CERTIFY) == 1
    assert bench.sim.account()["myipr"].jobs["Harbour"].refused == 1
    assert bool(bench.count(CERTIFY, "recent_files")) is not reveals


@pytest.mark.parametrize("reveals", [False, True])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("end", ["empty", "error"])
def test_a_duplicate_of_somebody_else_is_a_refusal(bench: Bench, reveals: bool, http_code: str, end: str) -> None:
    """The same name with another hash, or the same hash under another name, is not ours."""
    bench.sim.set_switches("myipr", duplicate_reveals_ids=reveals, http_code=http_code, recent_end=end)
    somebody_certifies(bench, "Harbour", hash="ab" * 32)
    somebody_certifies(bench, "Another", hash="cd" * 32)

    async def check() -> None:
        for changes in ({}, {"name": "New", "hash": "cd" * 32}):
            async with bench.trip(CERTIFY, {**bench.body(CERTIFY), **changes}) as trip:
                with pytest.raises(Refused) as caught:
                    await trip.submit()
                assert caught.value.status == 400
                located = await trip.locate()
                assert located.receipt is None

    go(check())


@pytest.mark.parametrize(
    ("order", "end"),
    list(itertools.product(("newest", "oldest"), ("empty", "error", "repeat"))),
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("others", [0, 29, 30, 65])
def test_locate_reads_the_list_to_its_end(bench: Bench, order: str, end: str, others: int) -> None:
    """Whatever its order, and whatever stands behind its last page: found, and absent when it is not there."""
    bench.sim.set_switches("myipr", recent_order=order, recent_end=end, recent_id_type="integer")
    somebody_certifies(bench, *(f"file {number}" for number in range(others // 2)))

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            absent = await trip.locate()
            assert (absent.receipt, absent.absent) == (None, True)
            receipt = await trip.submit()
            somebody_certifies(bench, *(f"file {number}" for number in range(others // 2, others)))
            found = await trip.locate()
            assert found.receipt is not None
            assert found.receipt["remote_id"] == receipt["remote_id"]
            assert found.receipt["file_id"] == receipt["file_id"]

    go(check())


@pytest.mark.parametrize(
    ("order", "setting", "found", "absent"),
    [
        ("newest", "unknown", True, False),
        ("newest", "newest", True, False),
        ("oldest", "unknown", False, False),
    ],
)
def test_a_list_that_is_not_read_to_its_end_decides_nothing(
    bench: Bench, order: str, setting: str, found: bool, absent: bool
) -> None:
    """A certificate that may be on a later page is neither called absent nor sent again, nor called refused."""
    bench.sim.set_switches("myipr", recent_order=order)

    async def check() -> None:
        async with bench.trip(CERTIFY, recent_pages=1, recent_order=setting) as trip:
            somebody_certifies(bench, *(f"file {number}" for number in range(31)))
            receipt = await trip.submit()
            located = await trip.operation.locate(trip.request, trip.intent)
            assert (located.receipt is not None, located.absent) == (found, absent)
            if found:
                assert await trip.submit() == receipt  # the refusal as duplicate is our own
            else:
                with pytest.raises(BadAnswer) as caught:
                    await trip.submit()
                assert caught.value.may_have_arrived
        async with bench.trip(CERTIFY, {**bench.body(CERTIFY), "name": "None", "hash": "ab" * 32}) as nobody:
            assert (await nobody.locate()).absent is True
        async with bench.trip(
            CERTIFY, {**bench.body(CERTIFY), "name": "None"}, recent_pages=1, recent_order=setting
        ) as nobody:
            assert (await nobody.locate()).absent is (setting == "newest")

    go(check())
    assert bench.accepted(CERTIFY) == 1 + 31


@pytest.mark.parametrize("digest", [None, "", ...], ids=str)
def test_a_version_of_our_name_without_a_hash_decides_nothing(digest: object) -> None:
    """It may be ours, and it may be somebody else's: asked again later."""
    shown = {key: value for key, value in {**DONE, "hash": digest}.items() if value is not ...}

    def answer(seen: Seen) -> bytes:
        if seen.path.startswith("/recent-files"):
            entry = {"name": "Harbour", "primary_version_id": "v-1"}
            return http(200, {"status": 200, "result": [entry]})
        return http(201, {"status": 201, "result": shown})

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            with pytest.raises(BadAnswer):
                await provider.operation("certify").locate(None, INTENT)

    go(check())


@pytest.mark.parametrize(
    "entries",
    [
        [None, 3, "Harbour", []],
        [{"name": "Harbour"}],
        [{"name": "Harbour", "primary_version_id": None}],
        [{"name": "Harbour", "primary_version_id": 7}],
        [{"name": "Harbour", "primary_version_id": "../create"}],
        [{"name": ["Harbour"], "primary_version_id": "v-1"}],
        [{"name": "Harbour", "primary_version_id": "v-404"}],
    ],
    ids=str,
)
def test_locate_skips_entries_it_cannot_use(entries: list[Any]) -> None:
    """Wrong types in the list neither crash nor match."""

    def answer(seen: Seen) -> bytes:
        if seen.path.startswith("/recent-files"):
            return http(200, {"status": 200, "result": entries if seen.path.endswith("page=1") else []})
        return (
            http(404, {"status": 404, "message": "Version not found"})
            if seen.path.endswith("v-404")
            else http(201, {"status": 201, "result": DONE})
        )

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            operation = provider.operation("certify")
            located = await operation.locate(None, INTENT)
            assert (located.receipt, located.absent) == (None, True)
            assert all("create" not in seen.path for seen in server.seen)

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "429", "rubbish"])
def test_a_duplicate_that_cannot_be_looked_up_is_asked_again(bench: Bench, kind: Any) -> None:
    """The refusal alone would be the wrong verdict."""

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            bench.sim.fault("myipr", kind, operation="recent_files")
            with pytest.raises(TransientError):
                await trip.submit()

    go(check())
