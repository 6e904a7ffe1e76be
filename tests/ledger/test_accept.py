"""A trigger becomes a job once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.clock import ManualClock
from jobs.errors import JobNotFound
from jobs.ledger import Acceptance, ClaimLimits, Ledger
from jobs.record import Announcement, Failure, Job
from jobs.states import JobState

NewJob = Callable[..., Job]
LIMITS = ClaimLimits(bundle_size=100, bundles=100, lease=30.0)


def _gone(ledger: Ledger, job_id: str, clock: ManualClock, deadline: float = 10.0) -> bool:
    """Wait until a job is forgotten; a server forgets by its own time, not by the injected clock."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            ledger.get(job_id)
        except JobNotFound:
            return True
        clock.advance(0.01)
        time.sleep(0.01)
    return False


def test_many_are_recorded_as_each_would_be(make_ledger: Callable[..., Ledger], new_job: NewJob) -> None:
    """Same answers, jobs, events and counts as one by one: new, repeated, taken, of two providers, failed at once."""
    clock = ManualClock()
    together, one_by_one = make_ledger(clock), make_ledger(clock)
    failed = replace(new_job(id="bad"), state=JobState.FAILED, due_at=None, failure=Failure("invalid", "no"))
    jobs = [new_job(id="a"), new_job(id="b", provider="beta"), new_job(id="a"), new_job(id="a", digest="x"), failed]
    jobs.append(new_job(id="a", provider="beta"))
    answers = together.accept_all([(job, None) for job in jobs])
    assert answers == [one_by_one.accept(job) for job in jobs]
    assert [answer.value for answer in answers] == ["created", "created", "same", "conflict", "created", "conflict"]
    for provider in ("alpha", "beta"):
        assert together.jobs(provider) == one_by_one.jobs(provider)
        assert together.counts(provider) == one_by_one.counts(provider)
        assert [replace(each, at=0) for each in together.events(provider)] == [
            replace(each, at=0) for each in one_by_one.events(provider)
        ]
    assert together.accept_all([]) == []


def test_a_new_job_is_recorded(ledger: Ledger, new_job: NewJob) -> None:
    """What was accepted is read back, with the first fencing token."""
    job = new_job(tags={"order": "4711"})
    assert ledger.accept(job) is Acceptance.CREATED
    assert ledger.get(job.id) == replace(job, seq=1)
    assert ledger.provider_of(job.id) == "alpha"
    assert ledger.counts("alpha") == {JobState.ACCEPTED: 1}


def test_the_first_event_has_no_source(ledger: Ledger, new_job: NewJob) -> None:
    """An acceptance is the beginning of a history."""
    job = new_job()
    ledger.accept(job)
    (event,) = ledger.events("alpha")
    assert (event.job_id, event.seq, event.source, event.target, event.at) == (
        job.id,
        1,
        None,
        JobState.ACCEPTED,
        job.created_at,
    )
    assert event.data["workflow"] == "alpha.make"


def test_the_same_request_is_the_same_job(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """A repeated trigger changes nothing, even when it comes later."""
    ledger.accept(new_job())
    before = ledger.get("job-1")
    clock.advance(5)
    assert ledger.accept(new_job()) is Acceptance.SAME
    assert ledger.get("job-1") == before
    assert len(ledger.events("alpha")) == 1
    assert ledger.counts("alpha") == {JobState.ACCEPTED: 1}


def test_the_same_request_is_the_same_job_after_it_moved(
    ledger: Ledger, begun: Callable[..., Job], new_job: NewJob, clock: ManualClock
) -> None:
    """A trigger that is delivered again finds the job wherever it is by now."""
    job = begun()
    ledger.write([job.to(JobState.FAILED, now=clock.now())])
    assert ledger.accept(new_job()) is Acceptance.SAME
    assert ledger.get("job-1").state is JobState.FAILED


def test_another_request_under_the_same_id_is_refused(ledger: Ledger, new_job: NewJob) -> None:
    """The id is the idempotency key: it cannot stand for two requests."""
    ledger.accept(new_job())
    before = ledger.get("job-1")
    assert ledger.accept(new_job(digest="e" * 64, request={"name": "other"})) is Acceptance.CONFLICT
    assert ledger.get("job-1") == before
    assert len(ledger.events("alpha")) == 1


def test_an_id_belongs_to_one_provider(ledger: Ledger, new_job: NewJob) -> None:
    """The same id under another provider is another request."""
    ledger.accept(new_job())
    assert ledger.accept(new_job(provider="beta", workflow="beta.make")) is Acceptance.CONFLICT
    assert ledger.provider_of("job-1") == "alpha"
    assert ledger.jobs("beta") == []
    assert ledger.events("beta") == []
    assert ledger.counts("beta") == {}


def test_a_job_can_be_accepted_as_failed(ledger: Ledger, failed_job: NewJob) -> None:
    """A request that can never work is recorded and finished in one step; nothing wakes it."""
    job = failed_job(failure=Failure("invalid", "name: field required"))
    assert ledger.accept(job) is Acceptance.CREATED
    held = ledger.get(job.id)
    assert (held.state, held.due_at, held.failure) == (JobState.FAILED, None, job.failure)
    assert ledger.claim("alpha", LIMITS).claims == ()
    assert ledger.claim("alpha", LIMITS).wait is None
    (event,) = ledger.events("alpha")
    assert event.target is JobState.FAILED
    assert event.data["outcome"] == held.outcome()
    assert event.data["error"]["kind"] == "invalid"
    assert ledger.accept(job) is Acceptance.SAME


def test_an_acceptance_is_announced(ledger: Ledger, new_job: NewJob, told: Callable[[str], str | None]) -> None:
    """Who waits is told by the same write; a repeated trigger tells nothing."""
    assert ledger.accept(new_job(), Announcement("who-waits", "first", 60)) is Acceptance.CREATED
    assert told("who-waits") == "first"
    ledger.accept(new_job(), Announcement("who-waits", "second", 60))
    ledger.accept(new_job(digest="e" * 64), Announcement("who-waits", "third", 60))
    assert told("who-waits") == "first"


def test_an_unknown_id_is_not_found(ledger: Ledger) -> None:
    """Nobody invents a job."""
    with pytest.raises(JobNotFound, match="never triggered"):
        ledger.get("nobody")
    with pytest.raises(JobNotFound, match="nobody"):
        ledger.provider_of("nobody")


def test_a_job_refused_at_its_acceptance_is_forgotten(
    make_ledger: Callable[..., Ledger], clock: ManualClock, failed_job: NewJob
) -> None:
    """It expires after its retention like any finished job, and its id is free again, for any provider."""
    ledger = make_ledger(clock, retention=0.05)
    ledger.accept(failed_job())
    assert _gone(ledger, "job-1", clock)
    end = time.monotonic() + 10
    while ledger.accept(failed_job(provider="beta")) is Acceptance.CONFLICT and time.monotonic() < end:
        clock.advance(0.01)
        time.sleep(0.01)
    assert ledger.provider_of("job-1") == "beta"


def test_a_finished_job_is_forgotten_after_its_retention(
    make_ledger: Callable[..., Ledger], clock: ManualClock, new_job: NewJob
) -> None:
    """Past its retention neither the record nor the listing knows it, and the same id makes a new job."""
    ledger = make_ledger(clock, retention=0.05)
    ledger.accept(new_job())
    (job,) = ledger.begin("alpha", [("job-1", None)], [JobState.ACCEPTED], 30.0)
    assert ledger.write([job.to(JobState.FAILED, now=clock.now())])[0] is not None
    assert _gone(ledger, "job-1", clock)
    assert ledger.jobs("alpha") == []
    clock.advance(1)
    again = new_job()
    assert ledger.accept(again) is Acceptance.CREATED
    assert ledger.get("job-1") == replace(again, seq=1)
    ledger.claim("alpha", LIMITS)  # forgets what is past its retention, but not the new job of the same name
    assert [held.id for held in ledger.jobs("alpha")] == ["job-1"]
    assert ledger.get("job-1").state is JobState.ACCEPTED


def test_an_accepted_job_is_new_as_soon_as_the_old_one_is_forgotten(
    make_ledger: Callable[..., Ledger], clock: ManualClock, failed_job: NewJob
) -> None:
    """Nobody needs to look at the ledger in between for the id to be free."""
    ledger = make_ledger(clock, retention=0.05)
    ledger.accept(failed_job())
    clock.advance(1)
    end = time.monotonic() + 10
    answer = Acceptance.SAME
    while answer is not Acceptance.CREATED and time.monotonic() < end:
        answer = ledger.accept(failed_job(digest="e" * 64))
        time.sleep(0.01)
    assert answer is Acceptance.CREATED
