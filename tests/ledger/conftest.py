"""The ledger on a real server, whose clock stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings

from jobs.clock import ManualClock
from jobs.ledger import Claim, ClaimLimits, Ledger
from jobs.record import Job
from jobs.states import JobState
from tests.ledgers import fresh_ledger

MakeLedger = Callable[..., Ledger]

settings.register_profile(
    "ledger",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the ledger; it stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def make_ledger(redis_client: redis.Redis) -> MakeLedger:
    """Makes an empty ledger at each call: `make_ledger(clock, **options)`."""
    return fresh_ledger


@pytest.fixture
def ledger(redis_client: redis.Redis, clock: ManualClock) -> Ledger:
    """An empty ledger."""
    return Ledger(redis_client, clock=clock)


@pytest.fixture
def new_job(clock: ManualClock) -> Callable[..., Job]:
    """Makes a job that is accepted now and due at once: `new_job(id, **changes)`."""

    def make(job_id: str = "job-1", **changes: Any) -> Job:
        now = clock.now()
        job = Job(
            id=job_id,
            provider="alpha",
            workflow="alpha.make",
            state=JobState.ACCEPTED,
            created_at=now,
            updated_at=now,
            deadline_at=now + 3600,
            digest="d" * 64,
            request={"name": "master"},
            due_at=now,
        )
        return replace(job, **changes)

    return make


@pytest.fixture
def failed_job(new_job: Callable[..., Job]) -> Callable[..., Job]:
    """Makes a job that is refused at its acceptance."""

    def make(job_id: str = "job-1", **changes: Any) -> Job:
        return new_job(job_id, state=JobState.FAILED, due_at=None, request=None, **changes)

    return make


@pytest.fixture
def take(ledger: Ledger) -> Callable[..., list[Claim]]:
    """Claims what is due and closes the bundle at once: `take(bundle_size=…)`."""

    def claim(provider: str = "alpha", **limits: Any) -> list[Claim]:
        wanted: dict[str, Any] = {"bundle_size": 100, "bundles": 100, "lease": 30.0, **limits}
        bundle = ledger.claim(provider, ClaimLimits(**wanted))
        ledger.close_bundle(provider, bundle.name)
        return list(bundle.claims)

    return claim


@pytest.fixture
def begun(ledger: Ledger, new_job: Callable[..., Job]) -> Callable[..., Job]:
    """Accepts a job and begins it: `begun(id, **changes)` gives the record as its holder reads it."""

    def make(job_id: str = "job-1", **changes: Any) -> Job:
        job = new_job(job_id, **changes)
        ledger.accept(job)
        return ledger.begin(job.provider, [(job.id, None)], list(JobState), 30.0)[0]

    return make


@pytest.fixture
def told(redis_client: redis.Redis) -> Callable[[str], str | None]:
    """What is announced under a key."""
    return redis_client.get  # type: ignore[return-value]
