"""CommonsDB from plain metadata: a processed declaration is confirmed once metadata and search show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs.record import Job
from jobs.states import JobState
from providers.base import Verdict
from simulator import samples

from .bench import DECLARE, JOB_ID, client, go
from .desk import Desk
from .server import Seen, http, scripted


@pytest.mark.parametrize("shape", ["declaration", "public", "full"])
def test_a_processed_declaration_is_confirmed_when_it_is_shown(desk: Desk, shape: str) -> None:
    """In whichever of its shapes metadata answers; until then it runs, and says what is missing."""
    desk.bench.sim.set_switches("commonsdb", metadata_shape=shape, findable_after_seconds=40)
    desk.bench.sim.plan("commonsdb", "Harbour", duration=10)

    async def check() -> None:
        async with desk.trip() as trip:
            await trip.submit()
            desk.pass_by(11)
            early = await trip.observe()
            assert (early.verdict, early.word, early.known) == (Verdict.RUNNING, "success", True)
            assert early.message == "processed, but not shown yet by metadata, search"
            desk.pass_by(40)
            last = await trip.observe()
            assert (last.verdict, last.result["confirmed"]) == (Verdict.SUCCEEDED, True)

    go(check())


def test_a_declaration_that_is_never_shown_succeeds_unconfirmed(desk: Desk) -> None:
    """`success` is the service's word: patience ends, and the result says so."""
    desk.bench.sim.set_switches("commonsdb", findable_after_seconds=10_000)
    desk.bench.sim.plan("commonsdb", "Harbour", duration=10)

    async def check() -> None:
        async with desk.trip(confirm_within=60) as trip:
            await trip.submit()
            desk.pass_by(11)
            assert (await trip.observe()).verdict is Verdict.RUNNING
            desk.pass_by(60)
            last = await trip.observe()
            assert last.verdict is Verdict.SUCCEEDED
            assert last.result == {"identifier": trip.intent["identifier"], "confirmed": False}
            assert last.message == "processed, but not shown yet by metadata, search"

    go(check())


def test_the_deadline_does_not_make_an_expired_job_of_a_processed_one(desk: Desk) -> None:
    """Shortly before it patience is over, whatever was set, and by our own clock."""
    desk.bench.sim.set_switches("commonsdb", findable_after_seconds=10_000)

    async def check() -> None:
        async with desk.trip(confirm_within=9000) as trip:
            await trip.submit()
            desk.pass_by(100)
            for skew, left, verdict in (
                (0, 31, Verdict.RUNNING),
                (0, 29, Verdict.SUCCEEDED),
                (0, -1, Verdict.SUCCEEDED),
                (-40_000, 29, Verdict.SUCCEEDED),
                (-40_000, 31, Verdict.RUNNING),
                (40_000, 31, Verdict.RUNNING),
            ):
                trip.operation.provider.learn(desk.clock.now() + skew / 1000, desk.clock.now())
                job = replace(trip.job, deadline_at=desk.clock.now() + left)
                assert (await trip.operation.observe(job)).verdict is verdict

    go(check())


@pytest.mark.parametrize("by", [["metadata"], ["search"], []], ids=str)
def test_who_confirms_is_a_setting(desk: Desk, by: list[str]) -> None:
    """Only those are asked; without any, `success` alone counts and nothing is claimed."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=1)

    async def check() -> None:
        async with desk.trip(confirm_by=by) as trip:
            await trip.submit()
            desk.pass_by(2)
            last = await trip.observe()
            assert last.verdict is Verdict.SUCCEEDED
            assert last.result.get("confirmed") is (True if by else None)

    go(check())
    asked = {name for name in ("metadata", "search") if desk.bench.count(DECLARE, name)}
    assert asked == set(by)


@pytest.mark.parametrize("kind", ["401", "500", "rubbish", "reset"])
@pytest.mark.parametrize("operation", ["metadata", "search"])
def test_who_cannot_be_asked_does_not_harm_a_processed_declaration(desk: Desk, operation: str, kind: Any) -> None:
    """Not even a refused key there stops the provider: the message says who did not answer."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=1)
    desk.bench.sim.fault("commonsdb", kind, operation=operation)

    async def check() -> None:
        async with desk.trip() as trip:
            await trip.submit()
            desk.pass_by(2)
            early = await trip.observe()
            assert early.verdict is Verdict.RUNNING
            assert f"not shown yet by {operation} (" in str(early.message)
            desk.pass_by(60)
            assert (await trip.observe()).result["confirmed"] is False

    go(check())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"results": []},
        {"results": [None, 3, {"docBody": None}]},
        {"results": [{"docBody": {"metaInternal": {"cidV1": "another"}}}]},
        {"metaInternal": {"cidV1": 7}, "declarationMetadata": {"publicMetadata": {"name": "another"}}},
        {"a": 10**400},
        {"a": "\ud800"},
        {"a": [[[[]]]] * 3, "declarationMetadata": []},
        b"rubbish",
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_only_the_declaration_itself_confirms(desk: Desk, answer: object) -> None:
    """Whatever else is answered, with HTTP 200, shows nothing."""

    def answers(seen: Seen) -> bytes:
        status = {"status": "success", "updatedAt": round(desk.clock.now() * 1000)}
        return http(200, status if "/status/" in seen.path else answer)

    async def check() -> None:
        async with scripted(answers) as server, client("commonsdb", server.url, notes=desk.notes) as provider:
            job = Job(
                JOB_ID, "commonsdb", "commonsdb.declare", JobState.POLLING, 0.0, 1e12,
                intent={"identifier": "bbqjc", "iscc": samples.iscc("x")}, receipt={"remote_id": "bbqjc"},
            )  # fmt: skip
            seen = await provider.operation("declare").observe(job)
            assert seen.verdict is Verdict.RUNNING
            assert "metadata" in str(seen.message)
            assert "search" in str(seen.message)

    go(check())


def test_without_a_time_of_the_success_patience_counts_from_the_submission(desk: Desk) -> None:
    """`updatedAt` is optional."""

    def answers(seen: Seen) -> bytes:
        return http(200, {"status": "success"} if "/status/" in seen.path else {"results": []})

    async def check() -> None:
        async with scripted(answers) as server, client("commonsdb", server.url, notes=desk.notes) as provider:
            job = Job(
                JOB_ID, "commonsdb", "commonsdb.declare", JobState.POLLING, 0.0, 1e12,
                intent={"identifier": "bbqjc"}, receipt={"remote_id": "bbqjc"}, submitted_at=desk.clock.now(),
            )  # fmt: skip
            operation = provider.operation("declare")
            assert (await operation.observe(job)).verdict is Verdict.RUNNING
            desk.clock.advance(61)
            assert (await operation.observe(job)).result["confirmed"] is False

    go(check())
