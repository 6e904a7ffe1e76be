"""What the client reads of a job, over a real Redis-protocol server and in the very words of Settle's announcer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from config.embedded import EmbeddedRedis
from jobs import errors
from jobs.artifacts import Artifact, Verification
from jobs.record import Failure, Job
from jobs.states import TERMINAL, JobState
from settle_client import (
    Handle,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobUnsuccessful,
    Settle,
    State,
    StillRunning,
    Unreachable,
    WrongApplication,
)
from tasks.announce import Announcer

FILE = Artifact("certificate.pdf", size=7, sha256="ab" * 32, uri="file:///certificate.pdf", stored_size=7,
                stored_sha256="ab" * 32, verification=Verification.VERIFIED)  # fmt: skip
MISMATCH = Failure("digest_mismatch", "certificate.pdf: expected SHA-256 abab, found cdcd", "ask for a sound file")


class Settled:
    """Settle's side: announces jobs as the ledger's scripts do."""

    def __init__(self, url: str, connection: redis.Redis) -> None:
        self.app = Celery(broker=url, backend=url, set_as_current=False)
        self.app.conf.result_expires = 3600
        self._announcer, self._redis = Announcer(self.app, "worker"), connection

    def announce(self, state: JobState, job_id: str = "order-1", **changes: Any) -> None:
        common: dict[str, Any] = {
            "provider": "myipr", "workflow": "myipr.certify", "digest": "d",
            "created_at": 1000.0, "updated_at": 1001.5, "deadline_at": 2000.0,
        }  # fmt: skip
        job = Job(id=job_id, state=state, due_at=None if state in TERMINAL else 1002.0, **common | changes)
        told = self._announcer.announcement(job)
        with self._redis.pipeline() as pipe:
            pipe.set(told.key, told.value)
            pipe.publish(told.key, told.value)
            pipe.execute()


@pytest.fixture
def settled(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> Iterator[Settled]:
    found = Settled(redis_server.url, redis_client)
    yield found
    found.app.close()


@pytest.fixture
def job(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> Iterator[Handle]:
    with Settle(redis_server.url) as client:
        yield client.job("order-1")


def test_nothing_is_known_before_a_worker_took_it(job: Handle) -> None:
    """A message that waits, or an id that nobody triggered."""
    assert (job.state, job.look(), job.progress) == (State.PENDING, None, None)
    with pytest.raises(StillRunning, match="order-1") as waited:
        job.wait(timeout=0.2)
    assert isinstance(waited.value, TimeoutError)


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL))
def test_a_running_job(settled: Settled, job: Handle, state: JobState) -> None:
    """Each state by its own word, with the provider's progress."""
    settled.announce(state, word="minting", progress=40, polls=3, tags={"shop": "7"})
    assert job.state == state
    assert not job.state.finished
    assert job.progress == 40
    seen = job.look()
    assert seen is not None
    assert (seen.state, seen.status_word, seen.polls, seen.tags) == (state, "minting", 3, {"shop": "7"})
    assert seen.created_at == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
    with pytest.raises(StillRunning):
        job.outcome()


def test_a_job_that_succeeded(settled: Settled, job: Handle) -> None:
    """The outcome, with types down to its files."""
    receipt = {"remote_id": "r-17"}
    settled.announce(
        JobState.SUCCEEDED, result={"version_id": "v-1"}, artifacts=(FILE,), receipt=receipt, next="order-2"
    )
    outcome = job.wait(timeout=5)
    assert (outcome.job_id, outcome.state, outcome.remote_id, outcome.next) == (
        "order-1",
        "succeeded",
        "r-17",
        "order-2",
    )
    assert outcome.result == {"version_id": "v-1"}
    (file,) = outcome.artifacts
    assert (file.name, file.size, file.sha256, file.verification) == ("certificate.pdf", 7, "ab" * 32, "verified")
    assert outcome == job.outcome() == job.look()
    assert outcome.raw["artifacts"][0]["promised_sha256"] == file.promised_sha256 == "ab" * 32


@pytest.mark.parametrize(
    ("state", "raised"),
    [(JobState.FAILED, JobFailed), (JobState.EXPIRED, JobExpired), (JobState.CANCELLED, JobCancelled)],
)
def test_a_job_that_did_not_succeed(
    settled: Settled, job: Handle, state: JobState, raised: type[JobUnsuccessful]
) -> None:
    """Typed, with kind, message and remedy, and with all that is known of the job."""
    settled.announce(state, failure=MISMATCH, artifacts=(FILE,), polls=3, then=({"workflow": "myipr.certify"},))
    assert (job.state, job.state.finished) == (state, True)
    with pytest.raises(raised) as ended:
        job.wait(timeout=5)
    error = ended.value
    assert type(error) is raised
    assert (error.job_id, error.kind, error.remedy) == ("order-1", "digest_mismatch", "ask for a sound file")
    assert error.message == f"{MISMATCH.message}; not started: myipr.certify"
    assert error.outcome is not None
    assert (error.outcome.state, error.outcome.polls) == (state, 3)
    assert error.outcome.artifacts[0].name == "certificate.pdf"


def test_a_stock_client_is_told_the_same_as_ever(settled: Settled) -> None:
    """What is there for ours does not disturb Celery's own way."""
    settled.announce(JobState.FAILED, failure=MISMATCH)
    with pytest.raises(Exception, match=r"expected SHA-256 abab.*ask for a sound file") as ended:
        settled.app.AsyncResult("order-1").get(timeout=5)
    assert type(ended.value).__name__ == "JobFailed"


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's own way to store
@pytest.mark.parametrize(
    ("error", "raised"),
    [(errors.JobExpired, JobExpired), (errors.JobFailed, JobFailed), (RuntimeError, JobFailed)],
)
def test_a_worker_that_tells_less(
    settled: Settled, job: Handle, error: type[Exception], raised: type[JobUnsuccessful]
) -> None:
    """An older worker, or an entry task that broke: the words of the exception are all there is."""
    settled.app.backend.store_result("order-1", error("it broke"), "FAILURE")
    with pytest.raises(raised, match=r"^order-1: it broke$") as ended:
        job.wait(timeout=5)
    assert (ended.value.outcome, ended.value.remedy) == (None, None)


def test_waiting_ends_with_the_job(settled: Settled, job: Handle) -> None:
    """However long it takes, and with no time-out either."""
    settled.announce(JobState.POLLING)
    timer = threading.Timer(0.3, settled.announce, [JobState.SUCCEEDED])
    timer.start()
    assert job.wait(interval=0.01).state is State.SUCCEEDED
    timer.join()


def test_following_tells_each_change_once(settled: Settled, job: Handle) -> None:
    """From wherever the job is to its end, which raises nothing; no change is told twice."""
    seen = []
    settled.announce(JobState.POLLING, progress=10)
    for outcome in job.follow(timeout=30, interval=0.01):
        seen.append((outcome.state, outcome.progress))
        if outcome.progress == 10:
            settled.announce(JobState.POLLING, progress=50)
        elif outcome.progress == 50:
            threading.Timer(0.1, settled.announce, [JobState.FAILED], {"failure": MISMATCH}).start()
    assert seen == [("polling", 10), ("polling", 50), ("failed", None)]
    with pytest.raises(StillRunning):
        next(Handle(settled.app, "nobody").follow(timeout=0.1, interval=0.01))


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's own way to store
def test_a_newer_settle_has_words_of_its_own(settled: Settled, job: Handle) -> None:
    """A state that this client does not know is no reason to break off."""
    settled.app.backend.store_result("order-1", {}, "HAGGLING")
    assert job.state is State.OTHER
    assert not job.state.finished


def test_redis_may_be_away_for_a_while(tmp_path: Path) -> None:
    """A look is tried again by itself, and then says what is wrong; the job goes on."""
    with EmbeddedRedis(tmp_path) as server, Settle(server.url, conf={"result_backend_max_retries": 2}) as client:
        job = client.job("order-1")
        assert job.state is State.PENDING
        server.kill()
        server.start()
        assert job.state is State.PENDING
        server.kill()
        with pytest.raises(Unreachable, match="ask again"):
            job.wait(timeout=5)


def test_without_results_nothing_can_be_read() -> None:
    """An application that only sends says so, and what to do about it."""
    with Settle("amqp://127.0.0.1:1") as client:
        job = client.job("order-1")
        for look in (job.look, job.wait, lambda: job.state, lambda: next(job.follow())):
            with pytest.raises(WrongApplication, match="backend: give the address"):
                look()
