"""What people and pages read: listings, counts, events, notes."""

from __future__ import annotations

from collections.abc import Callable

from jobs.clock import ManualClock
from jobs.ledger import Glance, Ledger
from jobs.record import Job
from jobs.redis_notes import NOTE_OUTLIVES
from jobs.states import JobState

NewJob = Callable[..., Job]


def test_the_newest_jobs_come_first(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """A listing begins with what was triggered last, and ends at its limit."""
    for number in range(5):
        ledger.accept(new_job(f"job-{number}"))
        clock.advance(1)
    assert [job.id for job in ledger.jobs("alpha")] == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    assert [job.id for job in ledger.jobs("alpha", limit=2)] == ["job-4", "job-3"]
    assert ledger.jobs("alpha", limit=0) == []


def test_a_listing_has_whole_jobs(ledger: Ledger, new_job: NewJob) -> None:
    """Each is the very job that its id gives."""
    ledger.accept(new_job("a", tags={"order": "1"}))
    ledger.accept(new_job("b"))
    assert ledger.jobs("alpha") == [ledger.get("b"), ledger.get("a")]


def test_a_listing_by_state(ledger: Ledger, new_job: NewJob, failed_job: NewJob, clock: ManualClock) -> None:
    """The filter comes before the limit, also far down the list."""
    for number in range(3):
        ledger.accept(failed_job(f"failed-{number}"))
        clock.advance(1)
    for number in range(600):
        ledger.accept(new_job(f"job-{number}"))
    assert [job.id for job in ledger.jobs("alpha", JobState.FAILED, limit=2)] == ["failed-2", "failed-1"]
    assert len(ledger.jobs("alpha", JobState.ACCEPTED, limit=550)) == 550
    assert ledger.jobs("alpha", JobState.EXPIRED) == []


def test_a_listing_is_of_one_provider(ledger: Ledger, new_job: NewJob) -> None:
    """Providers are strangers to each other."""
    ledger.accept(new_job("a"))
    ledger.accept(new_job("b", provider="beta", workflow="beta.make"))
    assert [job.id for job in ledger.jobs("alpha")] == ["a"]
    assert [job.id for job in ledger.jobs("beta")] == ["b"]
    assert ledger.jobs("gamma") == []


def test_counts_follow_the_moves(
    ledger: Ledger, begun: Callable[..., Job], failed_job: NewJob, clock: ManualClock
) -> None:
    """A job is counted where it is, and a state without jobs is not named."""
    jobs = [begun(f"job-{number}") for number in range(3)]
    ledger.accept(failed_job("refused"))
    assert ledger.counts("alpha") == {JobState.ACCEPTED: 3, JobState.FAILED: 1}
    (after, _) = ledger.write(
        [
            jobs[0].to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now()),
            jobs[1].to(JobState.CANCELLED, now=clock.now()),
        ]
    )
    assert after is not None
    assert ledger.counts("alpha") == {
        JobState.ACCEPTED: 1,
        JobState.SUBMITTING: 1,
        JobState.CANCELLED: 1,
        JobState.FAILED: 1,
    }
    ledger.write([after.stay(now=clock.now(), due_at=clock.now(), message="still there")])
    assert ledger.counts("alpha")[JobState.SUBMITTING] == 1
    assert ledger.counts("beta") == {}


def test_counts_remember_finished_jobs(
    make_ledger: Callable[..., Ledger], clock: ManualClock, failed_job: NewJob
) -> None:
    """A finished job is still counted when its record is forgotten: the number tells how many ever got there."""
    ledger = make_ledger(clock, retention=0.01)
    ledger.accept(failed_job())
    clock.advance(1)
    assert ledger.counts("alpha") == {JobState.FAILED: 1}


def test_events_of_one_job(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """A history can be read for one job or for all, oldest first."""
    a, b = begun("a"), begun("b")
    ledger.write([b.to(JobState.FAILED, now=clock.now()), a.to(JobState.CANCELLED, now=clock.now())])
    assert [(event.job_id, event.target) for event in ledger.events("alpha")] == [
        ("a", JobState.ACCEPTED),
        ("b", JobState.ACCEPTED),
        ("b", JobState.FAILED),
        ("a", JobState.CANCELLED),
    ]
    assert [event.target for event in ledger.events("alpha", "a")] == [JobState.ACCEPTED, JobState.CANCELLED]
    assert ledger.events("alpha", "nobody") == []


def test_the_history_of_a_job_among_many_events(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """However many came before, between and after its own."""
    first, mine = begun("first"), begun("mine")

    def noise(job: Job) -> Job:
        for number in range(1500):
            (after,) = ledger.write([job.stay(now=clock.now(), due_at=clock.now(), message=str(number))])
            assert after is not None
            job = after
        return job

    first = noise(first)
    ledger.write([mine.to(JobState.CANCELLED, now=clock.now())])
    noise(first)
    assert [event.target for event in ledger.events("alpha", "mine")] == [JobState.ACCEPTED, JobState.CANCELLED]
    assert len(ledger.events("alpha", "first")) == 3001
    assert len(ledger.events("alpha")) == 3003


def test_a_note_is_left_once(ledger: Ledger) -> None:
    """Workers that race for a session end up with the same one."""
    assert ledger.recall("alpha", "session") is None
    assert ledger.remember("alpha", "session", "s-1") == "s-1"
    assert ledger.remember("alpha", "session", "s-2") == "s-1"
    assert ledger.recall("alpha", "session") == "s-1"
    assert ledger.recall("beta", "session") is None
    assert ledger.recall("alpha", "other") is None


def test_a_note_of_a_job_outlives_the_job_and_no_more(
    make_ledger: Callable[..., Ledger], clock: ManualClock, begun: Callable[..., Job], new_job: Callable[..., Job]
) -> None:
    """While the job can be read the note stands, whatever is said about the retention since; then it is forgotten."""
    ledger = make_ledger(clock, retention=1000.0)

    def ended(job_id: str) -> None:
        ledger.accept(new_job(job_id))
        (job,) = ledger.begin("alpha", [(job_id, None)], [JobState.ACCEPTED], 30.0)
        assert ledger.write([job.to(JobState.FAILED, now=clock.now())]) != [None]

    ended("a")
    ledger.remember("alpha", "session", "s-1")
    assert ledger.remember("alpha", "taken:a", "b", of_job="a") == "b"
    clock.advance(999)
    ended("c")
    for _ in range(3):
        assert ledger.remember("alpha", "taken:c", "x", of_job="c") == "x"
        assert ledger.remember("alpha", "taken:a", "y", of_job="a") == "b"
    clock.advance(NOTE_OUTLIVES)
    assert ledger.remember("alpha", "taken:c", "y", of_job="c") == "x"
    assert ledger.recall("alpha", "taken:a") == "b"
    clock.advance(2)
    ledger.remember("alpha", "taken:c", "y", of_job="c")
    assert ledger.recall("alpha", "taken:a") is None
    clock.advance(999 + NOTE_OUTLIVES)
    assert ledger.remember("alpha", "taken:d", "z", of_job="nobody") == "z"
    assert [ledger.recall("alpha", name) for name in ("taken:c", "taken:d", "session")] == [None, "z", "s-1"]


def test_a_note_is_forgotten_by_its_value(ledger: Ledger) -> None:
    """Whoever found a session stale removes that session, and not the next one."""
    ledger.remember("alpha", "session", "s-1")
    ledger.forget("alpha", "session", "s-0")
    assert ledger.recall("alpha", "session") == "s-1"
    ledger.forget("alpha", "session", "s-1")
    assert ledger.recall("alpha", "session") is None
    ledger.forget("alpha", "session", "s-1")
    assert ledger.remember("alpha", "session", "s-2") == "s-2"


def test_a_glance_at_jobs_of_any_provider(ledger: Ledger, begun: Callable[..., Job], new_job: NewJob) -> None:
    """Where each is and what followed it, in the order of the question; none for what nobody recorded."""
    then = ({"workflow": "beta.make", "kwargs": {}},)
    first = begun("a", state=JobState.EMITTING, then=then)
    stopped = begun("c", state=JobState.POLLING, then=then)
    ledger.accept(new_job("b", provider="beta", workflow="beta.make", then=then))
    now = first.updated_at
    done = first.to(JobState.SUCCEEDED, now=now, then=(), next="a.then.1")
    failed = stopped.to(JobState.FAILED, now=now)
    assert None not in ledger.write([done, failed])
    assert ledger.glance(["b", "nobody", "a", "c"]) == [
        Glance(JobState.ACCEPTED),
        None,
        Glance(JobState.SUCCEEDED, "a.then.1"),
        Glance(JobState.FAILED, broken=True),
    ]
    assert ledger.glance([]) == []


def test_a_book_tells_who_was_entered_when(ledger: Ledger) -> None:
    """Oldest first, both ends included; each book and each provider by itself."""
    for member, at in (("b", 20.5), ("a", 10.0), ("c", 30.0)):
        ledger.enter("alpha", "posts", member, at, 100.0)
    assert list(ledger.entered("alpha", "posts", 0.0, 99.0).items()) == [("a", 10.0), ("b", 20.5), ("c", 30.0)]
    assert ledger.entered("alpha", "posts", 10.0, 20.5) == {"a": 10.0, "b": 20.5}
    assert ledger.entered("alpha", "posts", 10.001, 20.499) == {}
    assert ledger.entered("alpha", "other", 0.0, 99.0) == ledger.entered("beta", "posts", 0.0, 99.0) == {}
    ledger.leave("alpha", "posts", "b")
    ledger.leave("alpha", "posts", "nobody")
    ledger.leave("beta", "posts", "a")
    assert set(ledger.entered("alpha", "posts", 0.0, 99.0)) == {"a", "c"}


def test_a_book_forgets_what_is_old(ledger: Ledger) -> None:
    """It does not grow; an entry that is made again has the later time."""
    for member, at in (("a", 10.0), ("b", 20.0), ("a", 25.0), ("c", 30.0)):
        ledger.enter("alpha", "posts", member, at, 10.0)
    assert ledger.entered("alpha", "posts", 0.0, 99.0) == {"b": 20.0, "a": 25.0, "c": 30.0}
    ledger.enter("alpha", "posts", "d", 30.5, 10.0)
    assert set(ledger.entered("alpha", "posts", 0.0, 99.0)) == {"a", "c", "d"}
