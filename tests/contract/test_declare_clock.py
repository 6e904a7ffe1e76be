"""CommonsDB from plain metadata: the time window, by the server's clock."""

from __future__ import annotations

import pytest

from providers.errors import NotReady, Refused

from .bench import DECLARE, JOB_ID, client, go, request_of
from .desk import PLAIN, Desk
from .server import http, scripted


@pytest.mark.parametrize("off", [-3600, -61, 61, 86_400])
def test_the_servers_clock_is_learnt_from_its_refusal(desk: Desk, off: int) -> None:
    """A wrong clock here costs one refusal; what all workers make after it has the server's time."""
    desk.clock.advance(off)

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(NotReady, match="made anew by that clock") as caught:
                await trip.submit()
            assert caught.value.may_have_arrived is False
        async with desk.trip() as second:  # another worker: it shares the notes only
            assert abs(second.intent["timestamp"] - round(desk.bench.clock() * 1000)) < 1000
            await second.submit()
            desk.clock.advance(-off)  # somebody mends the clock
        async with desk.trip() as third:
            with pytest.raises(NotReady):
                await third.submit()
        async with desk.trip() as fourth:
            await fourth.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {"400": 2, "202": 2}


def test_a_400_without_the_servers_time_is_a_refusal(desk: Desk) -> None:
    """Nothing can be learnt of it, and nothing was accepted."""

    async def check(answer: object) -> None:
        async with (
            scripted(lambda _: http(400, answer)) as server,
            client("commonsdb", server.url, notes=desk.notes, **desk.settings()) as provider,
        ):
            operation = provider.operation("declare")
            request = request_of(operation, PLAIN)
            with pytest.raises(Refused):
                await operation.submit(request, operation.intent(request, JOB_ID))

    for answer in ({"error": "Timestamp validation failed"}, {"serverTime": "now"}, {"serverTime": True}):
        go(check(answer))


def test_a_declaration_that_got_too_old_is_not_sent(desk: Desk) -> None:
    """The process stood still, say, between intent and POST."""

    async def check() -> None:
        async with desk.trip() as trip:
            desk.pass_by(46)
            with pytest.raises(NotReady, match="too old"):
                await trip.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {}


def test_what_is_not_in_the_ledger_is_not_sent(desk: Desk) -> None:
    """Another credential since the intent means another identifier."""

    async def check() -> None:
        async with desk.trip() as trip:
            trip.intent["timestamp"] += 1
            with pytest.raises(NotReady, match="settings changed"):
                await trip.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {}
