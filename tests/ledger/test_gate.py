"""The gate: bundles outstanding, requests in flight, requests per second, and pauses, for all workers together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.clock import ManualClock
from jobs.ledger import ClaimLimits, Ledger
from jobs.record import Job

LIMITS = ClaimLimits(bundle_size=2, bundles=2, lease=30.0)


@pytest.fixture
def backlog(ledger: Ledger, new_job: Callable[..., Job]) -> Ledger:
    """A ledger with fifty jobs that are due."""
    for number in range(50):
        ledger.accept(new_job(f"job-{number:02}"))
    return ledger


def test_only_so_many_bundles_are_outstanding(backlog: Ledger) -> None:
    """The sorted set holds the backlog, not the queue."""
    first, second = backlog.claim("alpha", LIMITS), backlog.claim("alpha", LIMITS)
    assert [len(bundle.claims) for bundle in (first, second)] == [2, 2]
    third = backlog.claim("alpha", LIMITS)
    assert third.claims == ()
    assert third.wait is not None
    assert 0 < third.wait <= 0.01
    backlog.close_bundle("alpha", first.name)
    assert len(backlog.claim("alpha", LIMITS).claims) == 2
    assert backlog.claim("alpha", LIMITS).claims == ()


def test_an_empty_bundle_is_not_outstanding(ledger: Ledger, new_job: Callable[..., Job]) -> None:
    """Looking in vain uses nothing up."""
    for _ in range(5):
        assert ledger.claim("alpha", LIMITS).claims == ()
    ledger.accept(new_job())
    assert len(ledger.claim("alpha", LIMITS).claims) == 1


def test_closing_twice_or_in_vain_is_harmless(backlog: Ledger) -> None:
    """A doubled message may close its bundle again."""
    first = backlog.claim("alpha", LIMITS)
    backlog.claim("alpha", LIMITS)
    backlog.close_bundle("alpha", first.name)
    backlog.close_bundle("alpha", first.name)
    backlog.close_bundle("alpha", "no-such-bundle|3")
    assert len(backlog.claim("alpha", LIMITS).claims) == 2
    assert backlog.claim("alpha", LIMITS).claims == ()


def test_a_bundle_that_nobody_closes_ends_with_its_lease(backlog: Ledger, clock: ManualClock) -> None:
    """A killed worker does not block the gate for longer than its lease."""
    backlog.claim("alpha", LIMITS)
    backlog.claim("alpha", LIMITS)
    clock.advance(29.999)
    assert backlog.claim("alpha", LIMITS).claims == ()
    clock.advance(0.001)
    assert len(backlog.claim("alpha", LIMITS).claims) == 2


def test_bundles_are_counted_per_provider(backlog: Ledger, new_job: Callable[..., Job]) -> None:
    """One busy provider leaves the others alone."""
    backlog.accept(new_job("other", provider="beta", workflow="beta.make"))
    for _ in range(3):
        backlog.claim("alpha", LIMITS)
    assert len(backlog.claim("beta", LIMITS).claims) == 1


def test_only_so_many_requests_are_in_flight(backlog: Ledger, clock: ManualClock) -> None:
    """A bundle is cut to what is free, and nothing is taken when nothing is."""
    limits = ClaimLimits(bundle_size=4, bundles=10, lease=30.0, in_flight=6)
    first, second, third = (backlog.claim("alpha", limits) for _ in range(3))
    assert [len(bundle.claims) for bundle in (first, second, third)] == [4, 2, 0]
    assert third.wait is not None
    assert 0 < third.wait <= 0.01
    backlog.close_bundle("alpha", second.name)
    assert len(backlog.claim("alpha", limits).claims) == 2
    clock.advance(30)
    assert len(backlog.claim("alpha", limits).claims) == 4


def test_only_so_many_requests_per_second(backlog: Ledger, clock: ManualClock) -> None:
    """A rate below ten lets one request through at a time, evenly spread, and says when the next may go."""
    limits = ClaimLimits(bundle_size=100, bundles=100, lease=300.0, rate=4.0)
    assert len(backlog.claim("alpha", limits).claims) == 1
    for _ in range(5):
        refused = backlog.claim("alpha", limits)
        assert (refused.claims, refused.wait) == ((), pytest.approx(0.25, abs=0.002))
        clock.advance(0.125)
        assert backlog.claim("alpha", limits).claims == ()
        clock.advance(0.125)
        assert len(backlog.claim("alpha", limits).claims) == 1


def test_a_high_rate_lets_small_bursts_through(backlog: Ledger, clock: ManualClock) -> None:
    """The bucket holds a tenth of a second's worth, and no more after a rest."""
    limits = ClaimLimits(bundle_size=100, bundles=100, lease=300.0, rate=80.0)
    assert len(backlog.claim("alpha", limits).claims) == 8
    assert backlog.claim("alpha", limits).claims == ()
    clock.advance(0.063)
    assert len(backlog.claim("alpha", limits).claims) == 5
    clock.advance(3600)
    assert len(backlog.claim("alpha", replace(limits, lease=30.0)).claims) == 8


def test_the_rate_holds_over_time(backlog: Ledger, clock: ManualClock) -> None:
    """However often is asked, no second sees more than its rate and one burst."""
    limits = ClaimLimits(bundle_size=100, bundles=1000, lease=300.0, rate=10.0)
    taken = 0
    for _ in range(300):
        taken += len(backlog.claim("alpha", limits).claims)
        clock.advance(0.01)
    assert 28 <= taken <= 31


def test_a_claim_that_takes_less_spends_less(ledger: Ledger, new_job: Callable[..., Job]) -> None:
    """Only what was taken counts against the rate."""
    limits = ClaimLimits(bundle_size=100, bundles=100, lease=300.0, rate=80.0)
    for number in range(3):
        ledger.accept(new_job(f"early-{number}"))
    assert len(ledger.claim("alpha", limits).claims) == 3
    for number in range(20):
        ledger.accept(new_job(f"late-{number}"))
    assert len(ledger.claim("alpha", limits).claims) == 5


def test_a_paused_provider_gives_nothing(backlog: Ledger, clock: ManualClock, new_job: Callable[..., Job]) -> None:
    """The gate is closed for as long as the provider asked for; its jobs lose time only, and no token."""
    backlog.accept(new_job("other", provider="beta", workflow="beta.make"))
    before = backlog.jobs("alpha")
    assert backlog.pause("alpha", 12.5) == clock.now() + 12.5
    assert backlog.paused_until("alpha") == clock.now() + 12.5
    assert backlog.paused_until("beta") == 0.0
    refused = backlog.claim("alpha", LIMITS)
    assert (refused.claims, refused.wait) == ((), 12.5)
    assert backlog.jobs("alpha") == before
    assert len(backlog.claim("beta", LIMITS).claims) == 1
    clock.advance(12.499)
    assert backlog.claim("alpha", LIMITS).claims == ()
    clock.advance(0.001)
    assert backlog.paused_until("alpha") == 0.0
    assert len(backlog.claim("alpha", LIMITS).claims) == 2


def test_pauses_grow_with_failures_in_a_row(make_ledger: Callable[..., Ledger], clock: ManualClock) -> None:
    """Each failure doubles the pause, up to the longest; one success begins anew."""
    ledger = make_ledger(clock, pause_limits=(1.0, 60.0))
    pauses = []
    for _ in range(40):
        until = ledger.pause("alpha")
        pauses.append(round(until - clock.now(), 3))
        clock.advance(until - clock.now())
    assert pauses[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert set(pauses[8:]) == {60.0}
    ledger.unpause("alpha")
    assert ledger.pause("alpha") == clock.now() + 1.0


def test_a_pause_is_never_shortened(ledger: Ledger, clock: ManualClock) -> None:
    """Of two pauses the longer one holds; a success elsewhere does not open the gate before its time."""
    until = ledger.pause("alpha", 30.0)
    assert ledger.pause("alpha", 5.0) == until
    assert ledger.pause("alpha") == until
    ledger.unpause("alpha")
    assert ledger.paused_until("alpha") == until
    clock.advance(20)
    assert ledger.pause("alpha", 5.0) == until


def test_a_provider_that_never_failed_is_open(ledger: Ledger) -> None:
    """Asking for the gate creates nothing."""
    ledger.unpause("alpha")
    assert ledger.paused_until("alpha") == 0.0
    assert ledger.counts("alpha") == {}
