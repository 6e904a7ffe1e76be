"""CommonsDB from plain metadata: a lost declaration is asked for, and made anew only when that is certainly safe."""

from __future__ import annotations

import pytest

from jobs.states import JobState
from providers.errors import LostAnswer, NotReady, TransientError

from .bench import DECLARE, JOB_ID, client, finished, go, request_of
from .desk import PLAIN, Desk, doubtful
from .server import http, scripted


def lose(desk: Desk, kind: str) -> None:
    """One declaration whose answer is lost: `reset` before it was processed, `reset_after` after."""
    desk.bench.sim.fault("commonsdb", kind, operation="declare", times=1)  # type: ignore[arg-type]


def test_a_lost_declaration_is_found_by_the_identifier_of_the_intent(desk: Desk) -> None:
    """It had arrived: adopted, and never sent again."""
    lose(desk, "reset_after")

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            located = await trip.locate()
            assert located.receipt == {"remote_id": trip.intent["identifier"]}

    go(check())
    assert desk.bench.accepted(DECLARE) == 1


@pytest.mark.parametrize("grace", [61, 300])
def test_a_lost_declaration_is_absent_only_after_the_grace(desk: Desk, grace: int) -> None:
    """Longer than the window, so that nothing under way can still be accepted. Then it is another declaration."""
    lose(desk, "reset")

    async def check() -> None:
        async with desk.trip(absent_after=grace) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            for _ in range(3):
                located = await trip.locate()
                assert (located.receipt, located.absent, located.gone) == (None, False, None)
                desk.pass_by((grace - 1) / 3)
            desk.pass_by(2)
            assert (await trip.locate()).absent
            first = trip.intent["identifier"]
            trip.intent = trip.operation.again(trip.request, doubtful(trip))
            assert trip.intent["identifier"] != first
            assert trip.intent["earlier"] == [first]
            assert trip.intent["timestamp"] == round(desk.clock.now() * 1000)
            await trip.submit()
            finished(DECLARE, await trip.watch())

    go(check())
    assert desk.bench.accepted(DECLARE) == 1


def test_by_a_clock_that_is_known_to_be_wrong_nothing_is_absent_early(desk: Desk) -> None:
    """The window is the server's: a worker whose clock runs ahead must not be the first to lose patience."""
    desk.clock.advance(3600)

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(NotReady):
                await trip.submit()
        lose(desk, "reset")
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(290)
            assert not (await trip.locate()).absent
            desk.pass_by(20)
            assert (await trip.locate()).absent

    go(check())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("skew", [3600, -3600])
def test_one_wrong_answer_about_the_clock_makes_no_young_body_old(desk: Desk, skew: int, signed: bool) -> None:
    """Somebody learnt nonsense in between: both clocks must say that the grace is over."""
    lose(desk, "reset")

    async def check() -> None:
        async with desk.trip(desk.bench.body(DECLARE) if signed else None) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            trip.operation.provider.learn(desk.clock.now() + skew, desk.clock.now())
            desk.pass_by(299)
            located = await trip.locate()
            assert (located.absent, located.gone) == (False, None)
            desk.pass_by(2)
            located = await trip.locate()
            assert (located.absent or located.gone is not None) is (skew > 0)

    go(check())


def test_a_declaration_without_a_status_record_is_found_by_metadata(desk: Desk) -> None:
    """Its status record may be late, or never written: what metadata shows was accepted."""
    desk.bench.sim.set_switches("commonsdb", not_found_seconds=10_000)
    lose(desk, "reset_after")

    async def check(by: list[str]) -> tuple[bool, bool]:
        async with desk.trip(confirm_by=by) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(301)
            located = await trip.locate()
            return located.receipt is not None, located.absent

    assert go(check(["metadata", "search"])) == (True, False)
    lose(desk, "reset_after")
    assert go(check([])) == (False, True)  # who switches metadata off gives this up


def test_an_earlier_attempt_that_turns_up_late_is_adopted(desk: Desk) -> None:
    """Should the record of the first one appear after all, the second doubt is settled by it."""
    desk.bench.sim.set_switches("commonsdb", not_found_seconds=400, findable_after_seconds=10_000)
    lose(desk, "reset_after")

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(301)
            assert (await trip.locate()).absent
            first = trip.intent["identifier"]
            trip.intent = trip.operation.again(trip.request, doubtful(trip))
            lose(desk, "reset")
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(101)
            assert (await trip.locate()).receipt == {"remote_id": first}

    go(check())


def test_within_the_window_an_attempt_keeps_its_identifier(desk: Desk) -> None:
    """A person says at once that nothing arrived: the same identifier can only be the same record."""

    async def check() -> None:
        async with desk.trip() as trip:
            desk.pass_by(30)
            assert trip.operation.again(trip.request, doubtful(trip)) == trip.intent
            desk.pass_by(31)
            assert trip.operation.again(trip.request, doubtful(trip))["earlier"] == [trip.intent["identifier"]]
            fresh = trip.operation.again(trip.request, doubtful(trip, JobState.ACCEPTED))
            assert fresh["identifier"] != trip.intent["identifier"]
            assert "earlier" not in fresh  # it was never sent, or certainly refused

    go(check())


def test_a_signed_body_is_never_made_anew(desk: Desk) -> None:
    """Settle did not sign it: the intent stays."""

    async def check() -> None:
        async with desk.trip(desk.bench.body(DECLARE)) as trip:
            desk.pass_by(400)
            assert trip.operation.again(trip.request, doubtful(trip)) == trip.intent
            assert (await trip.locate()).gone

    go(check())


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_an_answer_that_may_hide_an_acceptance_is_a_doubt(desk: Desk, status: int) -> None:
    """A new attempt would be another declaration, so even 503 is asked for first."""

    async def check() -> None:
        async with (
            scripted(lambda _: http(status)) as server,
            client("commonsdb", server.url, notes=desk.notes, **desk.settings()) as provider,
        ):
            operation = provider.operation("declare")
            request = request_of(operation, PLAIN)
            with pytest.raises(TransientError) as caught:
                await operation.submit(request, operation.intent(request, JOB_ID))
            assert caught.value.may_have_arrived

    go(check())
