"""The figures of the ledger: right, and cheap however many jobs there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from jobs import figures
from jobs.clock import ManualClock
from jobs.figures import FigureReader, ProviderFigures
from jobs.ledger import ClaimLimits
from jobs.record import Job
from jobs.redis_ledger import RedisLedger
from jobs.states import JobState

NewJob = Callable[..., Job]
LIMITS = ClaimLimits(bundle_size=100, bundles=100, lease=30.0)


@pytest.fixture
def ledger(redis_client: redis.Redis, clock: ManualClock) -> RedisLedger:
    """A real one: figures are read from the keys."""
    return RedisLedger(redis_client, clock=clock)


@pytest.fixture
def read(redis_client: redis.Redis, clock: ManualClock) -> Callable[[], ProviderFigures]:
    """Reads the figures of one provider."""
    reader = FigureReader(redis_client, clock)
    return lambda: reader.read(["alpha"]).providers["alpha"]


def _end(ledger: RedisLedger, job_id: str, state: JobState = JobState.EXPIRED) -> None:
    (job,) = ledger.begin("alpha", [(job_id, None)], list(JobState), 30.0)
    assert ledger.write([job.to(state, now=ledger.now())])[0]


def test_an_empty_ledger(read: Callable[[], ProviderFigures], redis_client: redis.Redis, clock: ManualClock) -> None:
    """Nothing is late, nothing is old, the gate is open; the server's memory is told."""
    found = read()
    assert (found.due, found.overdue, found.oldest, found.bundles) == (0, 0.0, 0.0, 0)
    assert (found.gate, found.pause, found.failures) == ("open", 0.0, 0)
    assert set(found.jobs) == set(JobState)
    assert set(found.jobs.values()) == {0}
    both = FigureReader(redis_client, clock).read(["alpha", "beta"])
    assert set(both.providers) == {"alpha", "beta"}
    assert both.memory > 100_000
    redis_client.config_set("maxmemory", "100mb")
    try:
        assert FigureReader(redis_client, clock).read([]).memory_limit == 100 * 1024**2
    finally:
        redis_client.config_set("maxmemory", "0")


def test_jobs_by_state_and_how_late_they_are(
    ledger: RedisLedger, new_job: NewJob, clock: ManualClock, read: Callable[[], ProviderFigures]
) -> None:
    """A job in the future is not late; the earliest of the others tells how late the clock is."""
    ledger.accept(new_job("a"))
    ledger.accept(new_job("b", due_at=clock.now() + 2))
    ledger.accept(new_job("c", due_at=clock.now() + 100))
    clock.advance(5)
    found = read()
    assert found.jobs[JobState.ACCEPTED] == 3
    assert (found.due, found.overdue) == (2, 5.0)
    ledger.claim("alpha", LIMITS)
    found = read()
    assert (found.due, found.overdue, found.bundles) == (0, 0.0, 1)
    _end(ledger, "c", JobState.EXPIRED)
    found = read()
    assert (found.jobs[JobState.ACCEPTED], found.jobs[JobState.EXPIRED]) == (2, 1)
    clock.advance(31)
    assert read().bundles == 0  # its lease is over: whoever had it is dead


def test_the_gate_is_closed_half_open_and_open(
    ledger: RedisLedger, clock: ManualClock, read: Callable[[], ProviderFigures]
) -> None:
    """As the claim script sees it."""
    ledger.pause("alpha", 20.0)
    found = read()
    assert (found.gate, found.pause, found.failures) == ("closed", 20.0, 1)
    clock.advance(21)
    assert (read().gate, read().pause) == ("half_open", 0.0)
    ledger.unpause("alpha")
    assert read().gate == "open"


def test_the_oldest_job_is_found_behind_finished_ones(
    ledger: RedisLedger, new_job: NewJob, clock: ManualClock, read: Callable[[], ProviderFigures]
) -> None:
    """Each job that ends makes the next one the oldest, in whatever order they end."""
    for number in range(6):
        ledger.accept(new_job(f"j-{number}"))
        clock.advance(10)
    assert read().oldest == 60.0
    for ended, oldest in (("j-1", 60.0), ("j-0", 40.0), ("j-2", 30.0), ("j-5", 30.0), ("j-3", 20.0), ("j-4", 0.0)):
        _end(ledger, ended)
        assert read().oldest == oldest, ended


def test_a_job_that_is_reopened_is_old_again(
    ledger: RedisLedger, new_job: NewJob, clock: ManualClock, read: Callable[[], ProviderFigures]
) -> None:
    """The search had passed it; a person brings it back."""
    ledger.accept(new_job("old"))
    clock.advance(100)
    ledger.accept(new_job("new"))
    _end(ledger, "old")
    assert read().oldest == 0.0
    job = ledger.get("old")
    ledger.write([job.reopen(JobState.ACCEPTED, due_at=clock.now(), now=clock.now())])
    assert read().oldest == 100.0


def test_the_search_goes_on_where_it_ended(
    ledger: RedisLedger,
    new_job: NewJob,
    clock: ManualClock,
    read: Callable[[], ProviderFigures],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bounded number of finished jobs is passed at a time; nothing is told until the oldest is known."""
    monkeypatch.setattr(figures, "_PASSED", 500)
    ended = [new_job(f"e-{number}", state=JobState.FAILED, due_at=None, request=None) for number in range(1200)]
    ledger.accept_all([(job, None) for job in ended])
    clock.advance(1)
    ledger.accept(new_job("waits"))
    clock.advance(7)
    assert [read().oldest for _ in range(4)] == [None, None, 7.0, 7.0]


def test_a_mark_that_was_forgotten_begins_again(
    ledger: RedisLedger, new_job: NewJob, redis_client: redis.Redis, read: Callable[[], ProviderFigures]
) -> None:
    """The job that the search had come to is past its retention."""
    redis_client.set("settle:{alpha}:oldest", "long-gone")
    ledger.accept(new_job("a"))
    assert read().oldest == 0.0


def test_a_full_server_still_tells_its_figures(
    ledger: RedisLedger, new_job: NewJob, clock: ManualClock, redis_client: redis.Redis, read: Callable[[], Any]
) -> None:
    """Just then somebody looks; the mark is all that cannot be written."""
    ledger.accept(new_job("a"))
    clock.advance(3)
    redis_client.config_set("maxmemory", "1mb")
    try:
        assert (read().oldest, read().due) == (3.0, 1)
    finally:
        redis_client.config_set("maxmemory", "0")
