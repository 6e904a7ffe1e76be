"""CommonsDB from plain metadata: a declaration that supersedes another."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import NotReady, NotSent, Refused
from simulator import samples

from .bench import DECLARE, finished, go
from .desk import Desk, doubtful


def successor(old: str, name: str = "Harbour II") -> dict[str, Any]:
    """A declaration that corrects another."""
    return {"metadata": samples.plain_metadata(name, supersedes=old)}


def test_a_successor_waits_until_the_older_one_is_processed(desk: Desk) -> None:
    """The service would refuse it (contract 2.6); waiting costs a look, not the job."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=100)

    async def check() -> None:
        async with desk.trip() as first:
            await first.submit()
        async with desk.trip(successor(first.intent["identifier"])) as second:
            with pytest.raises(NotReady, match="supersedes"):
                await second.submit()
            assert desk.bench.sim.account()["tsa"].requests["stamp"] == {"200": 2}  # none for nothing
        desk.pass_by(101)
        async with desk.trip(successor(first.intent["identifier"])) as second:
            await second.submit()
            finished(DECLARE, await second.watch())
        desk.clock.advance(desk.bench.clock() - desk.clock.now())
        async with desk.trip(successor(first.intent["identifier"], "Harbour III")) as third:
            with pytest.raises(Refused, match="already superseded"):
                await third.submit()

    go(check())


def test_the_rules_of_supersedes_are_the_services(desk: Desk) -> None:
    """An unknown one, and a failed one, are refused by it."""
    desk.bench.sim.plan("commonsdb", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with desk.trip(successor("bbqjcunknown")) as lost:
            with pytest.raises(Refused, match="not found"):
                await lost.submit()
        async with desk.trip() as first:
            await first.submit()
        desk.bench.clock.advance(2)
        async with desk.trip(successor(first.intent["identifier"])) as second:
            with pytest.raises(Refused, match="not found"):
                await second.submit()

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "rubbish", "cut_body", "503", "401"])
def test_trouble_while_asking_for_the_older_one_is_no_doubt(desk: Desk, kind: Any) -> None:
    """The declaration itself was not sent."""
    desk.bench.sim.fault("commonsdb", kind, operation="status")

    async def check() -> None:
        async with desk.trip(successor("bbqjcolder")) as trip:
            with pytest.raises(Exception) as caught:
                await trip.submit()
            assert not getattr(caught.value, "may_have_arrived", False)
            assert isinstance(caught.value, NotSent) is (kind not in ("503", "401"))

    go(check())
    assert desk.bench.count(DECLARE) == {}


def test_a_successor_that_was_processed_after_all_is_ours(desk: Desk) -> None:
    """A later attempt is refused with the identifier of the first: that is the declaration that was wanted."""

    async def check() -> None:
        async with desk.trip() as first:
            await first.submit()
            finished(DECLARE, await first.watch())
        desk.clock.advance(desk.bench.clock() - desk.clock.now())
        async with desk.trip(successor(first.intent["identifier"])) as second:
            await second.submit()
            finished(DECLARE, await second.watch())
            ours = second.intent["identifier"]
            desk.clock.advance(desk.bench.clock() - desk.clock.now() + 61)
            desk.bench.clock.advance(61)
            second.intent = second.operation.again(second.request, doubtful(second))
            assert await second.submit() == {"remote_id": ours}

    go(check())
    assert desk.bench.accepted(DECLARE) == 2
