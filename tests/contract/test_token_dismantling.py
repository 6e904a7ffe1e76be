"""Unique Tokens: a line is dismantled when its files are safe."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jobs.artifacts import Verification
from providers.errors import Busy, LostAnswer, NotFound, Refused, Unavailable

from .bench import PRODUCE, client, go, job_of
from .server import Seen, http, scripted
from .token_lines import House, known_answer


@pytest.mark.parametrize("code", [403, 404, 410])
@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_line_is_dismantled_once_and_may_be_asked_again(house: House, code: int, error_http: str) -> None:
    """A worker that died after the DELETE asks once more: it is gone, which is what was wanted."""
    house.bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        await house.first("other", dismantle=False)
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            session = house.bench.notes.recall("unique_tokens", "session")
            for _ in range(3):
                assert await trip.operation.tidy(job) == {"dismantled": True}
            assert house.bench.notes.recall("unique_tokens", "session") == session
            lines = (await trip.operation.provider.call("GET", "/api/tokens"))["data"]
            assert [line["id"] for line in lines] == [(house.bench.notes.get("other").receipt or {})["remote_id"]]

    go(check())


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({"verification": Verification.PENDING}, {}),
        ({"size": None, "rule": None}, {}),
        ({}, {"dismantle": False}),
    ],
    ids=str,
)
def test_a_line_is_left_alone_while_its_files_are_not_safe(
    house: House, change: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Not verified, not checked by anything, or not wanted."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE, **settings) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            job = replace(job, artifacts=(*job.artifacts, replace(job.artifacts[0], **change)))
            assert await trip.operation.tidy(job) == {}

    go(check())
    assert house.bench.count(PRODUCE, "delete_tokens") == {}


@pytest.mark.usefixtures("looks_each_time")
def test_a_line_of_an_earlier_session_is_out_of_reach(house: House) -> None:
    """It is not called dismantled, and a poll says why it finds nothing."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            held = house.bench.notes.recall("unique_tokens", "session") or ""
            assert held not in json.dumps(trip.receipt)
            house.bench.notes.forget("unique_tokens", "session", held)
            await trip.operation.provider.session()
            assert await trip.operation.tidy(job) == {}
            with pytest.raises(NotFound, match="earlier session"):
                await trip.observe()
            trip.receipt = {"remote_id": (trip.receipt or {})["remote_id"]}  # as a person resolved it
            with pytest.raises(NotFound) as caught:
                await trip.observe()
            assert "earlier session" not in str(caught.value)

    go(check())


@pytest.mark.parametrize(
    ("kind", "error"), [("500", Unavailable), ("429", Busy), ("reset_after", LostAnswer), ("401", Busy)]
)
def test_trouble_while_dismantling_is_told(house: House, kind: Any, error: type[Exception]) -> None:
    """The stage tries again a few times."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            house.bench.sim.fault("unique_tokens", kind)
            with pytest.raises(error):
                await trip.operation.tidy(job)
            house.bench.sim.clear_faults()
            trip.operation.provider.notes.remember("unique_tokens", "session", "s")
            house.bench.sim.clear_faults()

    go(check())


def test_a_delete_that_is_refused_is_not_called_done(house: House) -> None:
    """The list still has the line."""

    def answer(seen: Seen) -> bytes:
        if seen.method == "DELETE":
            return http(409, {"errors": [{"status": 409, "title": "no"}]})
        return known_answer(seen) or http(200, {"data": [{"id": "L-1", "attributes": {"status": shown[-1]}}]})

    shown = ["finished"]

    async def check() -> None:
        async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
            job = job_of(PRODUCE, {}, {"remote_id": "L-1"})
            with pytest.raises(Refused):
                await provider.operation("produce").tidy(job)
            shown.append("deleted")
            assert await provider.operation("produce").tidy(job) == {"dismantled": True}

    go(check())
