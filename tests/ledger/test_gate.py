"""The gate: bundles outstanding, requests in flight, requests per second, and pauses, for all workers together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.clock import ManualClock
from jobs.ledger import ClaimLimits, Ledger
from jobs.record import Job
from jobs.states import JobState

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
    """A low rate lets one job through at a time, a tenth more than the rate, and says when the next may go."""
    limits = ClaimLimits(bundle_size=100, bundles=100, lease=300.0, rate=4.0)
    assert len(backlog.claim("alpha", limits).claims) == 2
    for _ in range(5):
        refused = backlog.claim("alpha", limits)
        assert (refused.claims, refused.wait) == ((), pytest.approx(0.25 / 1.1, abs=0.01))
        clock.advance(0.125)
        assert backlog.claim("alpha", limits).claims == ()
        clock.advance(0.104)
        assert len(backlog.claim("alpha", limits).claims) == 1


def test_a_high_rate_lets_small_bursts_through(backlog: Ledger, clock: ManualClock) -> None:
    """The bucket holds a tenth of a second's worth, and no more after a rest."""
    limits = ClaimLimits(bundle_size=100, bundles=100, lease=300.0, rate=80.0)
    assert len(backlog.claim("alpha", limits).claims) == 8
    assert backlog.claim("alpha", limits).claims == ()
    clock.advance(0.057)
    assert len(backlog.claim("alpha", limits).claims) == 5
    clock.advance(3600)
    assert len(backlog.claim("alpha", replace(limits, lease=30.0)).claims) == 8


def test_the_rate_holds_over_time(backlog: Ledger, clock: ManualClock) -> None:
    """However often is asked, jobs are taken at a tenth more than the rate: the requests themselves keep to it."""
    limits = ClaimLimits(bundle_size=100, bundles=1000, lease=300.0, rate=10.0)
    taken = 0
    for _ in range(300):
        taken += len(backlog.claim("alpha", limits).claims)
        clock.advance(0.01)
    assert 31 <= taken <= 34


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
    assert len(backlog.claim("alpha", LIMITS).claims) == 1


def test_nothing_is_taken_while_requests_queue_for_their_turn(backlog: Ledger, clock: ManualClock) -> None:
    """Hands full of waiting jobs would keep other providers out; what a dead worker said is forgotten in a second."""
    limits = ClaimLimits(bundle_size=3, bundles=100, lease=300.0, rate=50.0)
    assert len(backlog.claim("alpha", limits).claims) == 3
    clock.advance(1)
    backlog.turns("alpha", 50.0, "one", 15)  # of which six are handed out
    assert len(backlog.claim("alpha", limits).claims) == 3
    backlog.turns("alpha", 50.0, "two", 1)
    refused = backlog.claim("alpha", limits)
    assert (refused.claims, refused.wait) == ((), 0.05)
    backlog.turns("alpha", 50.0, "two", 0)
    clock.advance(0.1)
    assert len(backlog.claim("alpha", limits).claims) == 3
    backlog.turns("alpha", 50.0, "two", 100)
    assert backlog.claim("alpha", limits).claims == ()
    clock.advance(1)
    assert len(backlog.claim("alpha", limits).claims) == 3


@pytest.fixture
def half_open(backlog: Ledger, clock: ManualClock, new_job: Callable[..., Job]) -> Ledger:
    """A backlog whose provider was paused for the first time, and the pause is over; another one has jobs too."""
    for number in range(5):
        backlog.accept(new_job(f"other-{number}", provider="beta", workflow="beta.make"))
    clock.advance(backlog.pause("alpha") - clock.now())
    return backlog


def test_a_half_open_gate_lets_one_job_through(half_open: Ledger, clock: ManualClock) -> None:
    """The probe is one job, whoever claims and however much is allowed; other providers do not notice."""
    assert len(half_open.claim("alpha", LIMITS).claims) == 1
    for _ in range(3):
        refused = half_open.claim("alpha", replace(LIMITS, bundles=100))
        assert (refused.claims, refused.wait) == ((), 30.0)
    assert len(half_open.claim("beta", LIMITS).claims) == 2


def test_a_probe_that_succeeds_closes_the_breaker(half_open: Ledger) -> None:
    """Then everything goes on at once."""
    probe = half_open.claim("alpha", LIMITS)
    half_open.unpause("alpha")
    half_open.close_bundle("alpha", probe.name)
    assert len(half_open.claim("alpha", LIMITS).claims) == 2
    assert len(half_open.claim("alpha", LIMITS).claims) == 2


def test_a_probe_that_fails_opens_it_again_for_longer(half_open: Ledger, clock: ManualClock) -> None:
    """Pause, one probe, longer pause, one probe …"""
    pauses = []
    for _ in range(8):
        probe = half_open.claim("alpha", LIMITS)
        assert len(probe.claims) == 1
        until = half_open.pause("alpha")
        half_open.close_bundle("alpha", probe.name)
        pauses.append(round(until - clock.now(), 3))
        assert half_open.claim("alpha", LIMITS).claims == ()
        clock.advance(until - clock.now())
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_failure_is_an_outcome_whether_its_bundle_is_closed_or_not(half_open: Ledger, clock: ManualClock) -> None:
    """The worker that told it may die before it closes the bundle; the next probe does not wait for its lease."""
    half_open.claim("alpha", LIMITS)
    clock.advance(half_open.pause("alpha") - clock.now())
    assert len(half_open.claim("alpha", LIMITS).claims) == 1


def test_a_probe_that_asked_nobody_makes_way(half_open: Ledger) -> None:
    """A cancelled job, say: its bundle is closed without an outcome, and the next one is the probe."""
    half_open.close_bundle("alpha", half_open.claim("alpha", LIMITS).name)
    assert len(half_open.claim("alpha", LIMITS).claims) == 1
    assert half_open.claim("alpha", LIMITS).claims == ()


def test_a_probe_whose_worker_died_makes_way_after_its_lease(half_open: Ledger, clock: ManualClock) -> None:
    """Nobody will tell its outcome."""
    half_open.claim("alpha", LIMITS)
    clock.advance(29.999)
    assert half_open.claim("alpha", LIMITS).claims == ()
    clock.advance(0.001)
    assert len(half_open.claim("alpha", LIMITS).claims) == 1


@pytest.mark.parametrize("state", [JobState.VERIFYING, JobState.EMITTING])
def test_a_job_that_calls_nobody_is_no_probe(
    ledger: Ledger, clock: ManualClock, new_job: Callable[..., Job], state: JobState
) -> None:
    """It goes its way, and the next one that calls the provider is the probe."""
    for number in range(3):
        ledger.accept(new_job(f"a-{number}", state=state))
        ledger.accept(new_job(f"b-{number}"))
    clock.advance(ledger.pause("alpha") - clock.now())
    taken = [claim.id for _ in range(6) for claim in ledger.claim("alpha", replace(LIMITS, bundles=100)).claims]
    assert taken == ["a-0", "a-1", "a-2", "b-0"]


def test_a_fetch_is_a_probe_for_as_long_as_it_takes(
    ledger: Ledger, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """Its bundle is closed when its message is out, which says nothing of the provider."""
    for number in range(3):
        ledger.accept(new_job(f"f-{number}", state=JobState.FETCHING))
    clock.advance(ledger.pause("alpha") - clock.now())
    ledger.close_bundle("alpha", ledger.claim("alpha", LIMITS).name)
    assert ledger.claim("alpha", LIMITS).claims == ()
    ledger.unpause("alpha")
    assert len(ledger.claim("alpha", LIMITS).claims) == 2


def test_a_success_while_the_gate_is_closed_proves_nothing(backlog: Ledger, clock: ManualClock) -> None:
    """Its request left before; the pauses grow on, and the probe is still one job."""
    until = backlog.pause("alpha")
    backlog.unpause("alpha")
    clock.advance(until - clock.now())
    assert len(backlog.claim("alpha", LIMITS).claims) == 1
    assert backlog.claim("alpha", LIMITS).claims == ()
    assert backlog.pause("alpha") == clock.now() + 2.0


def test_a_person_opens_the_gate_for_all(half_open: Ledger) -> None:
    """Whatever closed it, and whatever probe is under way."""
    half_open.claim("alpha", LIMITS)
    half_open.open_gate("alpha")
    assert len(half_open.claim("alpha", LIMITS).claims) == 2


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


def test_one_outage_counts_once(make_ledger: Callable[..., Ledger], clock: ManualClock) -> None:
    """However many bundles were under way when it began: what fails while the gate is closed was sent before."""
    ledger = make_ledger(clock, pause_limits=(1.0, 60.0))
    until = [ledger.pause("alpha") for _ in range(5)]
    assert set(until) == {clock.now() + 1.0}
    clock.advance(1.0)
    assert ledger.pause("alpha") == clock.now() + 2.0


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
