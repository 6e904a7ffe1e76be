"""The right to work on a job: taken when due, held for a lease, numbered by a fencing token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.clock import ManualClock
from jobs.ledger import Claim, ClaimLimits, Ledger
from jobs.record import Job
from jobs.states import UNFINISHED, JobState

NewJob = Callable[..., Job]
Take = Callable[..., list[Claim]]
LIMITS = ClaimLimits(bundle_size=100, bundles=100, lease=30.0)


def test_nothing_waits(ledger: Ledger) -> None:
    """Without a job there is nothing to claim and nothing to wait for."""
    bundle = ledger.claim("alpha", LIMITS)
    assert (bundle.claims, bundle.wait) == ((), None)


def test_a_claim_takes_what_is_due(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """The claim raises the fencing token and pushes the wake-up time forward by the lease."""
    ledger.accept(new_job())
    bundle = ledger.claim("alpha", LIMITS)
    assert bundle.claims == (Claim("job-1", 2, JobState.ACCEPTED),)
    assert bundle.wait == pytest.approx(30.0)
    held = ledger.get("job-1")
    assert (held.seq, held.due_at) == (2, clock.now() + 30.0)
    assert ledger.claim("alpha", LIMITS).claims == ()


def test_what_is_not_due_yet_is_left(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """The answer says how long to sleep, and at that very moment the job is due."""
    ledger.accept(new_job(due_at=clock.now() + 7.5))
    bundle = ledger.claim("alpha", LIMITS)
    assert (bundle.claims, bundle.wait) == ((), 7.5)
    clock.advance(7.499)
    assert ledger.claim("alpha", LIMITS).claims == ()
    clock.advance(0.001)
    assert len(ledger.claim("alpha", LIMITS).claims) == 1


def test_a_countdown_in_small_steps_ends_in_time(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """Time is counted in whole milliseconds: sums of fractions neither delay nor hasten a job."""
    ledger.accept(new_job(due_at=clock.now() + 0.3))
    for _ in range(2):
        clock.advance(0.1)
        assert ledger.claim("alpha", LIMITS).claims == ()
    clock.advance(0.1)
    assert len(ledger.claim("alpha", LIMITS).claims) == 1


def test_the_longest_overdue_comes_first(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """Bundles are filled in the order of the wake-up times."""
    for job_id, overdue in {"late": 30.0, "later": 60.0, "latest": 90.0, "just": 0.0}.items():
        ledger.accept(new_job(job_id, due_at=clock.now() - overdue))
    assert [claim.id for claim in take(bundle_size=2)] == ["latest", "later"]
    assert [claim.id for claim in take(bundle_size=2)] == ["late", "just"]


def test_a_bundle_has_a_size(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """A full bundle leaves the rest, and says that more is due."""
    for number in range(5):
        ledger.accept(new_job(f"job-{number}"))
    bundle = ledger.claim("alpha", replace(LIMITS, bundle_size=3))
    assert (len(bundle.claims), bundle.wait) == (3, 0.0)
    assert len(take(bundle_size=3)) == 2


def test_the_state_comes_with_the_claim(
    ledger: Ledger, begun: Callable[..., Job], clock: ManualClock, take: Take
) -> None:
    """Who claims knows which stage to call."""
    job = begun()
    ledger.write([job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now())])
    assert take() == [Claim("job-1", job.seq + 2, JobState.SUBMITTING)]


def test_a_claim_ends_with_its_lease(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """Whoever dies delays its jobs by the lease, no more and no less."""
    ledger.accept(new_job())
    assert take(lease=10.0) == [Claim("job-1", 2, JobState.ACCEPTED)]
    clock.advance(9.999)
    assert take() == []
    clock.advance(0.001)
    assert take() == [Claim("job-1", 3, JobState.ACCEPTED)]


def test_a_claim_is_not_news(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """Waking a job is no move: no event, no count, nothing else of its record changes."""
    ledger.accept(new_job())
    before = ledger.get("job-1")
    take()
    assert len(ledger.events("alpha")) == 1
    assert ledger.counts("alpha") == {JobState.ACCEPTED: 1}
    assert replace(ledger.get("job-1"), seq=before.seq, due_at=before.due_at) == before


def test_providers_do_not_share_claims(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """Each provider has its own wake-up times."""
    ledger.accept(new_job("a"))
    ledger.accept(new_job("b", provider="beta", workflow="beta.make"))
    assert [claim.id for claim in take("beta")] == ["b"]
    assert [claim.id for claim in take("alpha")] == ["a"]


def test_a_stage_begins_with_the_claim(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """The right `seq` gives the record and a new lease, counted from now."""
    ledger.accept(new_job())
    (claim,) = take(lease=30.0)
    clock.advance(20)
    (job,) = ledger.begin("alpha", [(claim.id, claim.seq)], [JobState.ACCEPTED], 30.0)
    assert job == ledger.get("job-1")
    assert (job.seq, job.due_at) == (claim.seq + 1, clock.now() + 30.0)
    clock.advance(20)
    assert take() == []


def test_a_doubled_message_gets_nothing(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """The first delivery uses the claim up."""
    ledger.accept(new_job())
    (claim,) = take()
    wake = [(claim.id, claim.seq)]
    assert len(ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0)) == 1
    before = ledger.get("job-1")
    assert ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0) == []
    assert ledger.get("job-1") == before


def test_one_message_that_names_a_job_twice_begins_it_once(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """Not even within one message is a job begun twice."""
    ledger.accept(new_job())
    (claim,) = take()
    wakes = [(claim.id, claim.seq), (claim.id, claim.seq), (claim.id, None)]
    assert len(ledger.begin("alpha", wakes, [JobState.ACCEPTED], 30.0)) == 1


def test_in_a_backlog_the_first_message_begins(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """A message that waited for longer than a lease is as good as those that were published meanwhile; one begins."""
    ledger.accept(new_job())
    claims = []
    for _ in range(3):
        claims += take(lease=30.0)
        clock.advance(30)
    wakes = [[(claim.id, claim.seq)] for claim in claims]
    assert [len(ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0)) for wake in wakes] == [1, 0, 0]


def test_a_claim_from_before_the_last_move_gets_nothing(
    ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take
) -> None:
    """Somebody began, or moved the job, since: all older messages are void, and only a new claim counts."""
    ledger.accept(new_job())
    old = take(lease=30.0)
    clock.advance(30)
    old += take(lease=30.0)
    (job,) = ledger.begin("alpha", [(old[0].id, old[0].seq)], [JobState.ACCEPTED], 30.0)
    ledger.write([job.stay(now=clock.now(), due_at=clock.now())])
    (new,) = take(lease=30.0)
    for claim in old:
        assert ledger.begin("alpha", [(claim.id, claim.seq)], [JobState.ACCEPTED], 30.0) == []
    assert len(ledger.begin("alpha", [(new.id, new.seq)], [JobState.ACCEPTED], 30.0)) == 1


def test_a_late_message_may_still_begin(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """A lease that ran out is no loss as long as nobody else took the job."""
    ledger.accept(new_job())
    (claim,) = take(lease=30.0)
    clock.advance(300)
    assert len(ledger.begin("alpha", [(claim.id, claim.seq)], [JobState.ACCEPTED], 30.0)) == 1
    assert take() == []


def test_without_a_claim_only_a_free_job_begins(
    ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take
) -> None:
    """A message without `seq` gets nothing while somebody works on the job; a claim alone is no work."""
    ledger.accept(new_job())
    wake = [("job-1", None)]
    take(lease=30.0)
    assert len(ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0)) == 1
    clock.advance(29.999)
    assert ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0) == []
    clock.advance(0.001)
    assert len(ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0)) == 1
    assert ledger.begin("alpha", wake, [JobState.ACCEPTED], 30.0) == []


def test_without_a_claim_a_free_job_need_not_be_due(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """The next stage of a chain does not wait for the wake-up time of the one before."""
    ledger.accept(new_job(due_at=clock.now() + 15))
    assert len(ledger.begin("alpha", [("job-1", None)], [JobState.ACCEPTED], 30.0)) == 1


def test_a_job_that_is_being_submitted_is_nobody_elses(
    ledger: Ledger, begun: Callable[..., Job], clock: ManualClock, take: Take
) -> None:
    """From the intent to the answer the sender holds the job: only the clock may call it lost."""
    job = begun()
    ledger.write([job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now() + 30)])
    clock.advance(29.999)
    assert ledger.begin("alpha", [(job.id, None)], [JobState.SUBMITTING], 30.0) == []
    clock.advance(0.001)
    (claim,) = take()
    assert len(ledger.begin("alpha", [(job.id, claim.seq)], [JobState.SUBMITTING], 30.0)) == 1


def test_a_move_lets_go_of_the_job(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """After a move the next stage may begin at once."""
    job = begun(state=JobState.POLLING)
    ledger.write([job.to(JobState.FETCHING, now=clock.now(), due_at=clock.now() + 15)])
    (next_,) = ledger.begin("alpha", [(job.id, None)], [JobState.FETCHING], 30.0)
    assert next_.state is JobState.FETCHING


def test_a_stage_takes_only_its_own_states(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """A message that comes too early or too late for its stage changes nothing, and spends no claim."""
    ledger.accept(new_job())
    (claim,) = take()
    others = UNFINISHED - {JobState.ACCEPTED}
    before = ledger.get("job-1")
    assert ledger.begin("alpha", [(claim.id, claim.seq)], others, 30.0) == []
    assert ledger.begin("alpha", [(claim.id, claim.seq)], [], 30.0) == []
    assert ledger.get("job-1") == before
    assert len(ledger.begin("alpha", [(claim.id, claim.seq)], UNFINISHED, 30.0)) == 1


def test_only_the_good_ones_of_a_bundle_begin(ledger: Ledger, new_job: NewJob, take: Take) -> None:
    """Each job of a message is judged by itself, in the order of the message."""
    for job_id in "abcd":
        ledger.accept(new_job(job_id))
    seqs = {claim.id: claim.seq for claim in take()}
    wakes = [("d", seqs["d"]), ("nobody", 1), ("b", seqs["b"] - 1), ("a", seqs["a"]), ("c", None), ("c", seqs["c"])]
    assert [job.id for job in ledger.begin("alpha", wakes, [JobState.ACCEPTED], 30.0)] == ["d", "a", "c"]
    assert ledger.begin("alpha", [], [JobState.ACCEPTED], 30.0) == []


def test_a_finished_job_does_not_begin(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """Nothing brings a finished job back, whatever the message says."""
    job = begun()
    (done,) = ledger.write([job.to(JobState.CANCELLED, now=clock.now())])
    assert done is not None
    assert ledger.begin("alpha", [(job.id, done.seq), (job.id, None)], list(JobState), 30.0) == []


def test_a_lease_is_renewed(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock, take: Take) -> None:
    """Who works long holds on, lease by lease, with the same fencing token."""
    job = begun()
    for _ in range(3):
        clock.advance(20)
        assert ledger.renew(job, 30.0)
        assert take() == []
    assert ledger.get(job.id) == replace(job, due_at=clock.now() + 30.0)
    assert ledger.begin("alpha", [(job.id, None)], [JobState.ACCEPTED], 30.0) == []
    assert ledger.write([job.to(JobState.FAILED, now=clock.now())])[0] is not None


def test_a_lost_lease_is_not_renewed(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock, take: Take) -> None:
    """Whoever lost the job is told so, and takes nothing from the new holder."""
    job = begun()
    clock.advance(30)
    take(lease=10.0)
    before = ledger.get(job.id)
    assert not ledger.renew(job, 30.0)
    assert ledger.get(job.id) == before


def test_a_finished_job_is_not_renewed(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """A holder that goes on after the end gets no new wake-up time for it."""
    job = begun()
    (done,) = ledger.write([job.to(JobState.FAILED, now=clock.now())])
    assert done is not None
    assert not ledger.renew(done, 30.0)
    assert not ledger.renew(job, 30.0)
    assert ledger.get(job.id).due_at is None


def test_a_claim_knows_when_its_job_was_due(ledger: Ledger, new_job: NewJob, clock: ManualClock, take: Take) -> None:
    """The lease takes its place in the ledger, so this is the last that tells how late a poll is."""
    due = clock.now()
    ledger.accept(new_job("sooner"))
    ledger.accept(new_job("later", due_at=due + 1.5))
    clock.advance(4)
    assert {claim.id: claim.due_at for claim in take()} == {"sooner": due, "later": due + 1.5}
