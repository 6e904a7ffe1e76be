"""Turns to send: never more arrivals in any second than the rate, and never much less than the rate either."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from jobs.clock import ManualClock
from jobs.ledger import Ledger
from jobs.pacing import Turn

from .conftest import MakeLedger

Delay = Callable[[random.Random], tuple[float, float]]


def busiest(times: list[float]) -> int:
    """The most in any one second, wherever it begins; its end is not part of it."""
    times, most, first = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def quick(rng: random.Random) -> tuple[float, float]:
    """Arrives in up to 5 ms, answered as soon as it is there."""
    arrival = rng.uniform(0, 0.005)
    return arrival, arrival + 0.001


def jittery(rng: random.Random) -> tuple[float, float]:
    """As a rule quick; one in fifty is stuck for up to a quarter of a second before it arrives."""
    arrival = rng.uniform(0, 0.25) if rng.random() < 0.02 else rng.uniform(0, 0.01)
    return arrival, arrival + 0.002


def slow(rng: random.Random) -> tuple[float, float]:
    """A provider that takes half a second for every answer; requests arrive soon."""
    return rng.uniform(0, 0.025), 0.5


def dead(rng: random.Random) -> tuple[float, float]:
    """Workers that never tell: the end comes after everything."""
    return rng.uniform(0, 0.025), 1e6


def saturate(
    ledger: Ledger, clock: ManualClock, rate: float, delay: Delay, *, seconds: float, settled: float = 0.0
) -> list[float]:
    """What arrives if four holders always want more; the times of arrival from `settled` on, in seconds."""
    rng, start = random.Random(7), clock.now()
    arrivals: list[float] = []
    under_way: list[list[tuple[float, Turn]]] = [[], [], [], []]
    while clock.now() < start + seconds:
        for holder in rng.sample(range(4), 2):
            over = [(turn.token, end) for end, turn in under_way[holder] if end <= clock.now()]
            under_way[holder] = [(end, turn) for end, turn in under_way[holder] if end > clock.now()]
            for turn in ledger.turns("alpha", rate, f"h{holder}", 5, over).turns:
                assert turn.at >= clock.now() - 0.001
                arrival, answer = delay(rng)
                arrivals.append(turn.at + arrival)
                under_way[holder].append((turn.at + answer, turn))
        clock.advance(0.02)
    return [at for at in arrivals if start + settled <= at < start + seconds]


@pytest.mark.parametrize("delay", [quick, jittery, slow, dead], ids=lambda delay: delay.__name__)
@pytest.mark.parametrize("rate", [1.0, 7.5, 50.0])
def test_no_second_sees_more_than_the_rate(ledger: Ledger, clock: ManualClock, rate: float, delay: Delay) -> None:
    """However late requests arrive, as long as their answers tell, or they arrive within what is sure."""
    arrivals = saturate(ledger, clock, rate, delay, seconds=5)
    assert busiest(arrivals) <= rate


@pytest.mark.parametrize("delay", [quick, jittery, slow, dead], ids=lambda delay: delay.__name__)
def test_the_rate_is_used_up(ledger: Ledger, clock: ManualClock, delay: Delay) -> None:
    """At least 0.96 of it, in the long run, also from a provider that is always slow."""
    arrivals = saturate(ledger, clock, 50.0, delay, seconds=13, settled=8)  # by then nothing is spare any more
    assert len(arrivals) / 5 >= 48


def test_quick_answers_cost_almost_nothing(ledger: Ledger, clock: ManualClock) -> None:
    """A token rests for a second after the arrival, and no longer."""
    assert len(saturate(ledger, clock, 50.0, quick, seconds=7, settled=2)) / 5 >= 49


def test_a_rest_is_not_saved_up(ledger: Ledger, clock: ManualClock) -> None:
    """After an idle hour requests go one by one, at little more than the rate."""
    saturate(ledger, clock, 50.0, quick, seconds=1)
    clock.advance(3600)
    turns = ledger.turns("alpha", 50.0, "h", 100).turns
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(turns)]
    assert len(turns) == 6
    assert gaps == [pytest.approx(0.018, abs=0.0011)] * 5


def test_an_end_that_is_told_late_or_twice_counts_once(ledger: Ledger, clock: ManualClock) -> None:
    """The token is free long since, or another request holds one meanwhile: no turn is won."""
    (first,) = ledger.turns("alpha", 1.0, "h", 1).turns
    over = [(first.token, first.at), (first.token, first.at)]
    clock.advance(5)
    assert len(ledger.turns("alpha", 1.0, "h", 1, over).turns) == 1
    for _ in range(3):
        found = ledger.turns("alpha", 1.0, "h", 1, [*over, ("h|of nobody", 0.0)])
        assert found.turns == ()
        assert found.wait > 0.5


def test_a_rate_below_one_is_one_request_in_so_many_seconds(ledger: Ledger, clock: ManualClock) -> None:
    """Half a request per second is one in two."""
    (first,) = ledger.turns("alpha", 0.5, "h", 3).turns
    found = ledger.turns("alpha", 0.5, "h", 3, [(first.token, first.at)])
    assert found.turns == ()
    assert found.wait == pytest.approx(2.005 - 0.1, abs=0.002)
    clock.advance(found.wait + 0.001)
    (second,) = ledger.turns("alpha", 0.5, "h", 3).turns
    assert second.at - first.at == pytest.approx(2.005, abs=0.002)


def test_a_closed_gate_gives_no_turns(ledger: Ledger, clock: ManualClock) -> None:
    """It says so, and for how long; another provider's turns are its own."""
    ledger.pause("alpha", 7.0)
    found = ledger.turns("alpha", 50.0, "h", 3)
    assert (found.turns, found.closed, found.wait) == ((), True, 7.0)
    assert len(ledger.turns("beta", 50.0, "h", 3).turns) == 3
    clock.advance(7)
    assert len(ledger.turns("alpha", 50.0, "h", 3).turns) == 3


def test_what_is_told_while_the_gate_is_closed_counts(make_ledger: MakeLedger, clock: ManualClock) -> None:
    """The ends of requests under way are not lost, whether the gate has closed or not."""
    waits = []
    for closed in (False, True):
        ledger = make_ledger(clock)
        turns = ledger.turns("alpha", 2.0, "h", 1).turns
        if closed:
            ledger.pause("alpha", 0.1)
        ledger.turns("alpha", 2.0, "h", 0, [(turn.token, turn.at) for turn in turns])
        clock.advance(0.5)
        turns += ledger.turns("alpha", 2.0, "h", 1).turns
        waits.append(round(ledger.turns("alpha", 2.0, "h", 1).wait, 3))
    assert waits[0] == waits[1]


def test_a_clock_that_was_set_back_stops_nobody(ledger: Ledger, clock: ManualClock) -> None:
    """What another server had written lies an hour ahead: it is not waited for."""
    saturate(ledger, clock, 50.0, quick, seconds=1)
    clock.advance(-3600)
    assert len(ledger.turns("alpha", 50.0, "h", 3).turns) == 3
