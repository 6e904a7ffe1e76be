"""Every operation from its intent to its files, and every failure on the way."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from jobs.artifacts import DigestRule
from providers.base import Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    LostAnswer,
    NotSent,
    PermanentError,
    ProviderError,
    TransientError,
    Unavailable,
)

from .bench import (
    CERTIFY,
    CONVERT,
    DECLARE,
    DELETE,
    PRODUCE,
    WAYS,
    Bench,
    Way,
    client,
    finished,
    go,
    named,
    request_of,
    until,
)
from .server import http, nobody

ways = pytest.mark.parametrize("way", WAYS, ids=named)


def body_for(way: Way) -> dict[str, Any]:
    """A valid trigger that needs no simulator."""
    return {"id": 58_213} if way is DELETE else Bench.body(Bench(None, time.time), way)  # type: ignore[arg-type]


async def submit_at(url: str, way: Way, **settings: Any) -> dict[str, Any]:
    """Submit to whoever listens there."""
    async with client(way.provider, url, **settings) as provider:
        operation = provider.operation(way.operation)
        request = request_of(operation, body_for(way))
        return await operation.submit(request, operation.intent(request, "order-1"))


#: A session that is granted, so that an order can be refused.
OPENED = http(201, {"data": {"type": "session", "id": "33305508-61c6-4750-a51b-dd68c80198de"}})


@ways
def test_a_job_goes_from_its_intent_to_its_files(bench: Bench, way: Way) -> None:
    """Submitted once, polled until it is done, and every file is what was promised."""

    async def check() -> None:
        async with bench.trip(way) as trip:
            receipt = await trip.submit()
            assert isinstance(receipt["remote_id"], str)
            seen = await trip.watch()
            # One of myIPR's words is invented on purpose.
            assert all(each.known or each.word == "awaiting_block" for each in seen)
            last = finished(way, seen)
            for artifact in last.artifacts:
                content, rule = await trip.fetch(artifact)
                assert content
                assert rule is (DigestRule.SEED_BEFORE if way is PRODUCE else None)

    go(check())
    assert sum(bench.count(way).values()) == 1


@pytest.mark.parametrize("way", [DECLARE, CERTIFY, CONVERT], ids=named)
def test_a_job_that_the_provider_fails_has_failed(bench: Bench, way: Way) -> None:
    """The verdict is failure, and it says something."""
    bench.sim.plan(way.provider, way.reference, outcome="failed", duration=4, message="the minting stopped")  # type: ignore[arg-type]

    async def check() -> None:
        async with bench.trip(way) as trip:
            await trip.submit()
            assert (await trip.observe()).verdict is Verdict.RUNNING
            last = (await trip.watch(step=5))[-1]
            assert last.verdict is Verdict.FAILED
            assert last.message or last.word == "Failed"
            assert last.result == {}
            assert last.artifacts == ()

    go(check())


@ways
def test_an_unknown_word_means_running(bench: Bench, way: Way) -> None:
    """The word is passed on, marked as unknown, and decides nothing."""
    bench.sim.fault(way.provider, "unknown_word", word="simmering")

    async def check() -> None:
        async with bench.trip(way) as trip:
            await trip.submit()
            for _ in range(2):
                seen = await trip.observe()
                assert (seen.verdict, seen.word, seen.known) == (Verdict.RUNNING, "simmering", False)
                bench.clock.advance(3000)
            bench.sim.clear_faults()
            finished(way, await trip.watch())

    go(check())


@ways
@pytest.mark.parametrize("status", ["429", "503"])
def test_retry_after_is_heard_in_both_forms(bench: Bench, way: Way, status: Any) -> None:
    """Seconds and an HTTP date become seconds."""
    bench.sim.fault(way.provider, status, operation=way.submit, times=1, retry_after=7)
    bench.sim.fault(way.provider, status, operation=way.submit, times=1, retry_after=formatdate(time.time() + 40))
    bench.sim.fault(way.provider, status, operation=way.status, times=1, retry_after=9)

    async def check() -> None:
        async with bench.trip(way) as trip:
            with pytest.raises(Busy) as first:
                await trip.submit()
            assert first.value.retry_after == 7
            with pytest.raises(Busy) as second:
                await trip.submit()
            assert second.value.retry_after is not None
            assert 30 < second.value.retry_after <= 40
            await trip.submit()
            with pytest.raises(Busy) as third:
                await trip.observe()
            assert third.value.retry_after == 9
            finished(way, await trip.watch())

    go(check())
    assert way is DELETE or bench.accepted(way) == 1


@ways
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", Unavailable),
        ("reset", LostAnswer),
        ("reset_after", LostAnswer),
        ("cut_body", BadAnswer),
        ("rubbish", BadAnswer),
        ("latency", LostAnswer),
    ],
)
def test_a_submission_without_a_readable_answer_is_in_doubt(
    bench: Bench, way: Way, kind: Any, error: type[TransientError]
) -> None:
    """It may have arrived, so it must not be sent again blindly: never `NotSent`."""
    # A lost DELETE is repeated once by the transport, as HTTP allows; so the fault stays until it was seen.
    bench.sim.fault(way.provider, kind, operation=way.submit, seconds=0.6)

    async def check() -> None:
        async with bench.trip(way, read_timeout=0.3 if kind == "latency" else 5.0) as trip:
            with pytest.raises(TransientError) as caught:
                await trip.submit()
            assert type(caught.value) is error
            assert caught.value.may_have_arrived is True

    go(check())
    until(lambda: bench.count(way))  # a request that nobody waits for is processed all the same: not in the next test


@ways
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("401", ProviderError),
        ("500", Unavailable),
        ("reset", LostAnswer),
        ("reset_after", LostAnswer),
        ("cut_body", BadAnswer),
        ("rubbish", BadAnswer),
    ],
)
def test_a_poll_that_fails_costs_one_look(bench: Bench, way: Way, kind: Any, error: type[ProviderError]) -> None:
    """The error is typed, says nothing of the job, and the next look goes on."""

    async def check() -> None:
        async with bench.trip(way) as trip:
            await trip.submit()
            # A new connection each time: on one that was used before, a lost GET is repeated by the transport.
            bench.sim.fault(way.provider, kind, operation=way.status)
            if way is PRODUCE:
                bench.sim.fault(way.provider, kind, operation="get_tokens")
            with pytest.raises(error) as caught:
                await trip.observe()
            assert isinstance(caught.value, ProviderError)
            bench.sim.clear_faults()
            finished(way, await trip.watch())

    go(check())


@ways
def test_a_slow_body_is_waited_for(bench: Bench, way: Way) -> None:
    """The timeout is between two pieces of an answer, not for the whole of it."""
    bench.sim.fault(way.provider, "slow_body", operation=way.submit, seconds=0.5)

    async def check() -> None:
        async with bench.trip(way, read_timeout=0.3) as trip:
            assert (await trip.submit())["remote_id"]

    go(check())


@ways
def test_a_refused_connection_never_left(way: Way) -> None:
    """Nobody listens: safe to send again."""

    async def check() -> None:
        async with nobody() as url:
            with pytest.raises(NotSent) as caught:
                await submit_at(url, way)
            assert caught.value.may_have_arrived is False

    go(check())


@ways
def test_locate_finds_a_submission_whose_answer_was_lost(bench: Bench, way: Way) -> None:
    """The answer was lost after processing: the job is found, goes on to its end, and was accepted once."""
    bench.sim.fault(way.provider, "reset_after", operation=way.submit)

    async def check() -> None:
        async with bench.trip(way) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            bench.sim.clear_faults()
            located = await trip.locate()
            assert located.receipt is not None
            assert located.absent is False
            last = finished(way, await trip.watch())
            for artifact in last.artifacts:
                assert (await trip.fetch(artifact))[0]

    go(check())
    assert bench.count(way) == {"reset_after": 2 if way is DELETE else 1}
    assert way is DELETE or bench.accepted(way) == 1
    assert bench.sim.account()[way.provider].doubles == ()


@ways
def test_locate_says_what_it_knows_of_a_job_that_is_not_there(bench: Bench, way: Way) -> None:
    """Only where a repeat can do no harm is a job called absent; then it is sent again, and accepted once."""
    bench.sim.fault(way.provider, "reset", operation=way.submit)

    async def check() -> None:
        async with bench.trip(way) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            bench.sim.clear_faults()
            located = await trip.locate()
            assert located.receipt is None
            assert located.absent is (way in (CERTIFY, CONVERT, DELETE))
            if located.absent:
                await trip.submit()
                finished(way, await trip.watch())

    go(check())
    assert way is DELETE or bench.accepted(way) == (1 if way in (CERTIFY, CONVERT) else 0)


@ways
@pytest.mark.parametrize("kind", ["429", "500", "503", "reset", "cut_body", "rubbish", "401"])
def test_locate_that_gets_no_answer_decides_nothing(bench: Bench, way: Way, kind: Any) -> None:
    """An error is an error: neither found nor absent."""
    asked = {DECLARE: "status", CERTIFY: "recent_files", PRODUCE: "list_tokens", CONVERT: "list_conversions"}
    operation = asked.get(way, "conversion_status")

    async def check() -> None:
        async with bench.trip(way) as trip:
            trip.lose()
            bench.sim.fault(way.provider, kind, operation=operation)
            with pytest.raises(ProviderError) as caught:
                await trip.locate()
            assert not isinstance(caught.value, PermanentError)
            bench.sim.clear_faults()
            assert (await trip.locate()).receipt is None

    go(check())
