"""What finished jobs teach, and the plan of looks that follows from it: pure functions."""

from __future__ import annotations

import bisect
import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import learning
from jobs.learning import EDGES, ENOUGH, SCOUTS, Curve, Plan, plan, scout, spread
from jobs.policy import PollPolicy

BOUNDED = settings(deadline=None, database=None, max_examples=60)
WINDOW = PollPolicy(first=2.0, minimum=2.0, maximum=20.0)

ages = st.floats(0.0, 40_000.0)
histograms = st.dictionaries(st.integers(0, len(EDGES)), st.floats(0.01, 1000.0), max_size=12)
windows = st.builds(
    lambda first, minimum, width: PollPolicy(first, minimum, minimum + width),
    st.floats(0.0, 20.0),
    st.floats(0.1, 10.0),
    st.floats(0.0, 40.0),
)


def histogram(ends: list[float], weight: float = 1.0) -> dict[int, float]:
    """The histogram of ends that are known exactly."""
    counts: dict[int, float] = {}
    for end in ends:
        place = bisect.bisect_left(EDGES, end)
        counts[place] = counts.get(place, 0.0) + weight
    return counts


def replay(found: Plan, ends: list[float]) -> tuple[float, float]:
    """Polls per job, and mean delay, of a plan."""
    polls = delay = 0.0
    for end in ends:
        age = 0.0
        while age < end:
            age += found.wait(age)
            polls += 1
        delay += age - end
    return polls / len(ends), delay / len(ends)


def minted(count: int = 3000) -> list[float]:
    """Jobs with a heavy tail."""
    rng = random.Random(5)
    return [min(2 / (1 - rng.random()), 600.0) for _ in range(count)]


@given(weights=histograms, after=ages, by=ages)
@BOUNDED
def test_a_count_stays_one_wherever_it_is_spread(weights: dict[int, float], after: float, by: float) -> None:
    """Also for ages that are no interval, or beyond every bin."""
    shares = spread(weights, after, by)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(0 <= place <= len(EDGES) and share >= 0 for place, share in shares.items())


@given(weights=histograms, after=st.floats(0.0, 5000.0), width=st.floats(0.001, 5000.0))
@BOUNDED
def test_a_count_goes_between_the_two_looks(weights: dict[int, float], after: float, width: float) -> None:
    """No bin that lies outside gets any of it."""
    for place, share in spread(weights, after, after + width).items():
        begin, end = EDGES[place - 1] if place else 0.0, EDGES[place] if place < len(EDGES) else math.inf
        assert share == 0 or (begin < after + width and end >= after)


def test_a_count_goes_where_it_is_expected() -> None:
    """Within the interval by what is known, with a little everywhere; without knowledge evenly."""
    known = spread(histogram([9.9] * 50), 0.0, 20.0)
    assert known[bisect.bisect_left(EDGES, 9.9)] > 0.95
    assert known[bisect.bisect_left(EDGES, 3.0)] > 0
    even = spread({}, 0.0, 20.0)
    assert even[bisect.bisect_left(EDGES, 19.9)] == pytest.approx((20.0 - EDGES[37]) / 20.0)


@given(weights=histograms, first=ages, second=ages)
@BOUNDED
def test_the_curve_grows_to_one_and_its_area_is_that_below(
    weights: dict[int, float], first: float, second: float
) -> None:
    """A share of jobs, and the mean time since their end."""
    curve = Curve(weights)
    (over, area), (later, more) = (curve.at(age) for age in sorted((first, second)))
    apart = abs(second - first)
    assert 0 <= over <= later <= 1 + 1e-9
    assert over * apart - 1e-6 <= more - area <= later * apart + 1e-6


@given(weights=histograms, window=windows, delay=st.floats(0.05, 30.0), at=st.lists(ages, max_size=10))
@settings(BOUNDED, max_examples=25)
def test_a_plan_keeps_to_the_window(
    weights: dict[int, float], window: PollPolicy, delay: float, at: list[float]
) -> None:
    """At every age, whatever was learnt; the first look comes no earlier than the first countdown."""
    found = plan(weights, window, delay)
    if found is None:
        assert sum(weights.values()) < ENOUGH
        return
    longest = max(window.maximum, window.first)
    assert window.first - 1e-9 <= found.wait(0.0) <= longest + 1e-9
    for age in (*at, *found.ages[1:]):
        assert age == 0 or min(window.minimum, window.first) - 1e-9 <= found.wait(age) <= longest + 1e-9
    assert all(window.minimum - 1e-9 <= wait <= window.maximum + 1e-9 for wait in found.waits[1:])


def test_nothing_is_planned_before_enough_is_known() -> None:
    """A few jobs may be anything."""
    assert plan({}, WINDOW, 1.5) is None
    assert plan({20: ENOUGH - 0.01}, WINDOW, 1.5) is None
    assert plan({20: ENOUGH}, WINDOW, 1.5) is not None


@pytest.mark.parametrize("delay", [1.2, 2.0, 4.0])
def test_the_delay_is_as_asked_for(delay: float) -> None:
    """On the jobs that were learnt from, within a tenth."""
    ends = minted()
    found = plan(histogram(ends), WINDOW, delay)
    assert found is not None
    assert replay(found, ends)[1] == pytest.approx(delay, rel=0.1)


def test_it_takes_fewer_polls_than_a_fixed_interval_with_the_same_delay() -> None:
    """Jobs that end soon, or after long: looks gather where they end."""
    ends = minted()
    fixed = sum(math.ceil(end / 3) for end in ends) / len(ends)
    found = plan(histogram(ends), WINDOW, sum(math.ceil(end / 3) * 3 - end for end in ends) / len(ends))
    assert found is not None
    assert replay(found, ends)[0] < 0.85 * fixed


def test_one_outlier_changes_next_to_nothing() -> None:
    """A job of four hours among a thousand of some seconds."""
    ends = minted(1000)
    plain, odd = (plan(histogram(each), WINDOW, 1.5) for each in (ends, [*ends, 14_000.0]))
    assert plain is not None
    assert odd is not None
    polls, delay = replay(plain, ends)
    assert replay(odd, ends) == (pytest.approx(polls, rel=0.05), pytest.approx(delay, rel=0.05))


def test_jobs_that_all_take_the_same_time_need_one_look_or_two() -> None:
    """What a mean would do as well: nothing before, one look as soon as it may be over."""
    ends = [random.Random(n).uniform(14.2, 15.7) for n in range(500)]
    found = plan(histogram(ends), WINDOW, 1.5)
    assert found is not None
    assert 12 < found.wait(0.0) < 18
    assert replay(found, ends)[0] < 2


@pytest.mark.parametrize("price", [0.1, 1.0, 10.0])
def test_the_plan_is_the_best_there_is(price: float) -> None:
    """Against every schedule that there is on a small grid."""
    window = PollPolicy(first=2.0, minimum=2.0, maximum=4.0)
    grid = [0.0, *(2.0 + number for number in range(9))]
    line = Curve(histogram([3.0] * 40 + [6.5] * 20 + [9.5] * 10))
    found = learning._best(grid, [line.at(age) for age in grid], window, price)

    def cost(looks: tuple[float, ...]) -> float:
        total, age = 0.0, 0.0
        for look in looks:
            (over, area), (_, more) = line.at(age), line.at(look)
            total += price * (1 - over) + more - area - over * (look - age)
            age = look
        return total + price * (1 - line.at(age)[0])

    def allowed(looks: tuple[float, ...]) -> bool:
        steps = [later - earlier for earlier, later in itertools.pairwise((0.0, *looks))]
        return all(2 <= step <= 4 for step in steps) and looks[-1] > grid[-1] - 2

    every = [looks for size in range(2, 7) for looks in itertools.combinations(grid[1:], size) if allowed(looks)]
    assert len(every) > 20
    assert price * found.polls + found.late == pytest.approx(min(map(cost, every)))


def test_scouts_are_few_and_always_the_same() -> None:
    """By the job's id, so every look at a job goes by the same rule."""
    chosen = [f"job-{number}" for number in range(4000) if scout(f"job-{number}")]
    assert 0.7 / SCOUTS < len(chosen) / 4000 < 1.4 / SCOUTS
    assert all(scout(job_id) for job_id in chosen)
