"""When to look at a job again: a pure function."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.policy import RETRY_AFTER_CAP, PollPolicy, backoff, countdown, remaining

BOUNDED = settings(deadline=None, database=None, max_examples=200)
STEADY = PollPolicy(first=1.0, minimum=2.0, maximum=30.0, growth=2.0, jitter=0.0)

seconds = st.floats(0.001, 100_000.0)
spreads = st.floats(-1.0, 1.0)
policies = st.builds(
    lambda first, minimum, width, growth, jitter: PollPolicy(first, minimum, minimum + width, growth, jitter),
    st.floats(0.0, 1000.0),
    seconds,
    st.floats(0.0, 10_000.0),
    st.floats(1.0, 4.0),
    st.floats(0.0, 1.0),
)
anything = st.floats() | st.integers(-(10**9), 10**9)


@pytest.mark.parametrize(
    ("polls", "options", "expected"),
    [
        pytest.param(0, {}, 1.0, id="right after the submission"),
        pytest.param(1, {}, 2.0, id="after the first poll"),
        pytest.param(2, {}, 4.0, id="backing off"),
        pytest.param(4, {}, 16.0, id="backing off further"),
        pytest.param(5, {}, 30.0, id="no longer than the window"),
        pytest.param(10_000, {}, 30.0, id="also after very many polls"),
        pytest.param(0, {"eta": 20.0}, 1.0, id="an eta does not count before the first poll"),
        pytest.param(3, {"eta": 20.0}, 20.0, id="ready soon"),
        pytest.param(3, {"eta": 0.0}, 2.0, id="ready at any moment"),
        pytest.param(3, {"eta": -5.0}, 2.0, id="overdue"),
        pytest.param(3, {"eta": 500.0}, 30.0, id="ready in a long time"),
        pytest.param(3, {"eta": math.inf}, 30.0, id="never ready"),
        pytest.param(3, {"eta": math.nan}, 8.0, id="an eta that is no number is none"),
        pytest.param(3, {"retry_after": 100.0}, 100.0, id="asked to wait longer than the window"),
        pytest.param(3, {"retry_after": 1.0}, 8.0, id="asked to wait shorter than the countdown"),
        pytest.param(3, {"retry_after": -1.0}, 8.0, id="asked for the past"),
        pytest.param(3, {"retry_after": 1e9}, 3600.0, id="asked for decades"),
        pytest.param(3, {"retry_after": math.inf}, 3600.0, id="asked for ever"),
        pytest.param(3, {"retry_after": math.nan}, 8.0, id="asked for no number"),
        pytest.param(3, {"eta": 20.0, "retry_after": 25.0}, 25.0, id="the longer of both"),
        pytest.param(0, {"retry_after": 60.0}, 60.0, id="asked to wait at the submission"),
    ],
)
def test_countdowns(polls: int, options: dict[str, Any], expected: float) -> None:
    """The table of what is known and how long to wait."""
    assert countdown(STEADY, polls=polls, **options) == expected


@pytest.mark.parametrize(("spread", "expected"), [(-1.0, 7.2), (-0.5, 7.6), (0.0, 8.0), (1.0, 8.8)])
def test_jitter_spreads_the_countdown(spread: float, expected: float) -> None:
    """Jobs of one moment do not march in step."""
    policy = PollPolicy(first=1.0, minimum=2.0, maximum=30.0, growth=2.0, jitter=0.1)
    assert countdown(policy, polls=3, spread=spread) == pytest.approx(expected)


@given(policy=policies, polls=st.integers(1, 10**6), eta=st.none() | anything, spread=st.none() | spreads)
@BOUNDED
def test_always_within_the_window(policy: PollPolicy, polls: int, eta: float | None, spread: float | None) -> None:
    """Whatever the provider says of its progress, it is asked neither too often nor too rarely."""
    assert policy.minimum <= countdown(policy, polls=polls, eta=eta, spread=spread) <= policy.maximum


@given(policy=policies, polls=st.integers(0, 100), spread=spreads)
@BOUNDED
def test_jitter_is_bounded(policy: PollPolicy, polls: int, spread: float) -> None:
    """The spread is a share of the countdown, to either side, and never below zero."""
    middle = countdown(policy, polls=polls, spread=0.0)
    wait = countdown(policy, polls=polls, spread=spread)
    assert wait >= 0
    assert abs(wait - middle) <= policy.jitter * middle * (1 + 1e-9) + 1e-9


@given(policy=policies)
@BOUNDED
def test_jitter_is_drawn_if_not_given(policy: PollPolicy) -> None:
    """Without a spread one is drawn, within the same bounds."""
    low, high = (countdown(policy, polls=0, spread=spread) for spread in (-1.0, 1.0))
    assert low <= countdown(policy, polls=0) <= high


@given(policy=policies, polls=st.integers(1, 100), spread=spreads)
@BOUNDED
def test_countdowns_never_shrink_by_themselves(policy: PollPolicy, polls: int, spread: float) -> None:
    """With each poll the next one is as far away or farther."""
    assert countdown(policy, polls=polls, spread=spread) <= countdown(policy, polls=polls + 1, spread=spread)


@given(policy=policies, polls=st.integers(0, 100), eta=st.none() | anything, asked=anything, spread=spreads)
@BOUNDED
def test_what_the_provider_asks_for_wins(
    policy: PollPolicy, polls: int, eta: float | None, asked: float, spread: float
) -> None:
    """`Retry-After` may lengthen the countdown up to the cap, and never shortens it."""
    alone = countdown(policy, polls=polls, eta=eta, spread=spread)
    wait = countdown(policy, polls=polls, eta=eta, retry_after=asked, spread=spread)
    assert wait == (alone if math.isnan(asked) else max(alone, min(asked, RETRY_AFTER_CAP)))


@pytest.mark.parametrize(
    ("attempts", "expected"), [(-1, 1.0), (0, 1.0), (1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (10**9, 60.0)]
)
def test_backoff_doubles_up_to_its_cap(attempts: int, expected: float) -> None:
    """Failed tries in a row are farther and farther apart."""
    assert backoff(attempts, spread=0.0) == expected


@given(attempts=st.integers(-5, 10**6), base=seconds, cap=seconds, spread=st.none() | spreads)
@BOUNDED
def test_backoff_is_bounded(attempts: int, base: float, cap: float, spread: float | None) -> None:
    """It is spread by a quarter around its middle, which lies between base and cap."""
    wait = backoff(attempts, base=base, cap=cap, spread=spread)
    low, high = min(base, cap), cap
    assert low * 0.75 * (1 - 1e-9) <= wait <= high * 1.25 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("polls", "options", "expected"),
    [
        pytest.param(0, {"planned": 12.0}, 12.0, id="the first look as planned"),
        pytest.param(0, {"planned": 0.2}, 1.0, id="not before the first countdown"),
        pytest.param(0, {"planned": 90.0}, 30.0, id="the first look within the window"),
        pytest.param(4, {"planned": 12.0}, 12.0, id="a later look as planned"),
        pytest.param(4, {"planned": 0.2}, 2.0, id="no shorter than the window"),
        pytest.param(4, {"planned": 90.0}, 30.0, id="no longer than the window"),
        pytest.param(4, {"planned": 12.0, "eta": 5.0}, 5.0, id="what the provider says of this job goes first"),
        pytest.param(4, {"planned": 12.0, "retry_after": 40.0}, 40.0, id="asked to wait longer"),
    ],
)
def test_planned_countdowns(polls: int, options: dict[str, Any], expected: float) -> None:
    """A plan replaces the growing countdown, and nothing else."""
    assert countdown(STEADY, polls=polls, **options) == expected


@pytest.mark.parametrize(
    ("progress", "options", "expected"),
    [
        pytest.param(None, {}, None, id="not told"),
        pytest.param(0, {}, None, id="not begun"),
        pytest.param(100, {}, None, id="no more to do"),
        pytest.param(50, {}, 5.0, id="half of what the age tells"),
        pytest.param(50, {"before": 0, "since": 4.0}, 5.0, id="it may have begun at any time since"),
        pytest.param(50, {"before": 25, "since": 4.0}, 8.0, id="along the line"),
        pytest.param(50, {"before": 50, "since": 4.0}, 5.0, id="no way was made"),
        pytest.param(50, {"before": 80, "since": 4.0}, 5.0, id="it went back"),
        pytest.param(50, {"before": 25, "since": 0.0}, 5.0, id="no time has passed"),
    ],
)
def test_the_rest_is_told_by_the_line(progress: int | None, options: dict[str, Any], expected: float | None) -> None:
    """Progress, ten seconds after the submission."""
    assert remaining(progress, 10.0, **options) == expected
