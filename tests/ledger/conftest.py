"""One suite for both ledgers: each test that asks for `ledger` runs on the double in memory and on a real server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from jobs.clock import ManualClock
from jobs.ledger import Claim, ClaimLimits, Ledger
from jobs.memory_ledger import MemoryLedger
from jobs.record import Job
from jobs.redis_ledger import RedisLedger
from jobs.states import JobState

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


@pytest.fixture(params=["memory", "redis"])
def make_ledger(request: pytest.FixtureRequest) -> MakeLedger:
    """Makes an empty ledger at each call: `make_ledger(clock, **options)`."""
    if request.param == "memory":
        return lambda clock, **options: MemoryLedger(clock=clock, **options)
    client = request.getfixturevalue("redis_client")
    prefixes = (f"t{number}:" for number in itertools.count())
    return lambda clock, **options: RedisLedger(client, clock=clock, prefix=next(prefixes), **options)


@pytest.fixture
def ledger(make_ledger: MakeLedger, clock: ManualClock) -> Ledger:
    """An empty ledger."""
    return make_ledger(clock)


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
def told(make_ledger: MakeLedger, ledger: Ledger, request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """What is announced under a key."""

    def read(key: str) -> str | None:
        if isinstance(ledger, MemoryLedger):
            found = ledger.announced.get(key)
            return found.value if found else None
        value: str | None = request.getfixturevalue("redis_client").get(key)
        return value

    return read
