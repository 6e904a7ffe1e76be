"""Plans of one process: read seldom, made seldom, learnt from what its own looks saw."""

from __future__ import annotations

import random

import pytest

from config.embedded import EmbeddedRedis
from jobs.clock import ManualClock
from jobs.learning import Lesson, scout
from jobs.ledger import Ledger
from jobs.plans import Plans
from jobs.policy import PollPolicy
from tests import ledgers

WINDOW = PollPolicy(first=2.0, minimum=2.0, maximum=60.0)
SCOUT = next(f"s-{number}" for number in range(1000) if scout(f"s-{number}"))
OTHER = next(f"o-{number}" for number in range(1000) if not scout(f"o-{number}"))


class _Counted(Ledger):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(ledgers.client(), clock=clock, prefix=ledgers.new_prefix())
        self.reads = 0

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        self.reads += 1
        return super().learnt(provider)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def memory(clock: ManualClock, redis_server: EmbeddedRedis) -> _Counted:
    return _Counted(clock)


@pytest.fixture
def plans(memory: _Counted, clock: ManualClock) -> Plans:
    return Plans(memory, clock)


def _wait(plans: Plans, job_id: str = OTHER, age: float = 0.0, workflow: str = "w") -> float | None:
    return plans.wait("p", workflow, job_id, age, WINDOW, 1.5)


def _teach(plans: Plans, seconds: float, jobs: int = 100) -> None:
    plans.learn("p", [Lesson("w", seconds - 0.5, seconds)] * jobs)


def test_nothing_learnt_plans_nothing(plans: Plans) -> None:
    """Then the policy goes by its window alone."""
    assert _wait(plans) is None


def test_what_was_learnt_is_planned_for(plans: Plans, clock: ManualClock) -> None:
    """By workflow: another one of the same provider is still new."""
    assert _wait(plans) is None
    _teach(plans, 20.0)
    clock.advance(61)
    wait = _wait(plans)
    assert wait is not None
    assert 17 < wait < 24
    assert _wait(plans, workflow="another") is None


def test_the_ledger_is_read_once_in_five_seconds(plans: Plans, memory: _Counted, clock: ManualClock) -> None:
    """However many jobs there are, and whatever is learnt in between."""
    for number in range(500):
        _wait(plans, f"j-{number}")
        plans.learn("p", [Lesson("w", 1.0, 2.0)])
    assert memory.reads == 1
    clock.advance(5)
    for number in range(500):
        _wait(plans, f"j-{number}")
    assert memory.reads == 2


def test_a_plan_follows_soon_when_much_more_is_known(plans: Plans, clock: ManualClock) -> None:
    """Not a minute later: the first jobs of a new provider count."""
    assert _wait(plans) is None
    _teach(plans, 20.0)
    clock.advance(5)
    assert _wait(plans) is not None


def test_a_scout_is_looked_at_more_often(plans: Plans, clock: ManualClock) -> None:
    """It finds out when jobs have become quicker than the plan thinks."""
    _teach(plans, 40.0)
    clock.advance(61)
    wait, early, later = _wait(plans), _wait(plans, SCOUT), _wait(plans, SCOUT, 10.0)
    assert wait is not None
    assert wait > 30
    assert (early, later) == (2.0, 3.0)


@pytest.mark.parametrize(("before", "after"), [(40.0, 4.0), (4.0, 40.0)])
def test_a_provider_that_changes_is_learnt_anew(plans: Plans, clock: ManualClock, before: float, after: float) -> None:
    """Quicker or slower by ten times, seen only through our own looks: the plan follows within its memory."""
    rng = random.Random(3)

    def one(number: int, seconds: float) -> float:
        end, age, seen = seconds * rng.uniform(0.9, 1.1), 0.0, 0.0
        while age < end:
            seen = age
            wait = _wait(plans, f"{seconds}-{number}", age)
            age += wait if wait is not None else max(2.0, age * 0.3)
        plans.learn("p", [Lesson("w", seen, age)])
        clock.advance(1)
        return age - end

    late = [one(number, before) for number in range(600)]
    assert sum(late[-100:]) / 100 < 3
    late = [one(number, after) for number in range(4000)]
    assert sum(late[-100:]) / 100 < 3
