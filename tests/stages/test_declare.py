"""A declaration from plain metadata through all stages, against the simulator, on one clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Ignore

from config import runtime as shared
from config.settings import made_of
from jobs.clock import ManualClock
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from simulator import DEFAULT_DID, DEFAULT_KEYS, Running, running, samples
from tasks import clock as ticking
from tasks import submit as submitting
from workflows.command.control import resolving

NAME = "Harbour"


@dataclass
class Office:
    """The stages, the simulator, and the one clock of both."""

    app: Celery
    run: shared.Runtime
    clock: ManualClock
    sim: Running

    def declare(self, job_id: str = "d-1", **more: Any) -> None:
        """Trigger a job from plain metadata."""
        task = self.app.tasks["settle.commonsdb.declare"]
        task.push_request(id=job_id, hostname="test")
        try:
            with pytest.raises(Ignore):
                task.run(metadata=samples.plain_metadata(NAME, **more), registry=samples.plain_registry())
        finally:
            task.pop_request()

    def job(self, job_id: str = "d-1") -> Job:
        return self.run.ledger.get(job_id)

    def until(self, done: Callable[[Job], bool], job_id: str = "d-1") -> Job:
        """Skip from wake-up to wake-up until the job is as wanted."""
        for _ in range(300):
            job = self.job(job_id)
            if done(job):
                return job
            opens = self.run.ledger.paused_until("commonsdb")
            assert job.due_at is not None
            self.clock.advance(max(job.due_at - self.clock.now(), opens - self.clock.now(), 0.0) + 0.001)
            ticking.tick(self.run, ["commonsdb"])
        raise AssertionError(f"still {self.job(job_id)}")

    def finish(self, job_id: str = "d-1") -> Job:
        return self.until(lambda job: job.finished, job_id)

    def states(self, job_id: str = "d-1") -> list[str]:
        events = self.run.ledger.events("commonsdb", job_id)
        return [event.target.value for event in events if event.source is not event.target]

    def declared(self) -> int:
        """How many declarations CommonsDB holds, each accepted once."""
        jobs = self.sim.account()["commonsdb"].jobs
        assert all(job.accepted <= 1 for job in jobs.values())
        return sum(job.accepted for job in jobs.values())

    def asked(self, operation: str) -> int:
        return sum(self.sim.account()["commonsdb"].requests.get(operation, {}).values())


@pytest.fixture
def office(app: Celery, redis_client: redis.Redis, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """Everything configured, unless the test takes something away."""
    clock = ManualClock()
    with running(now=clock.now, seed=3) as sim:
        (tmp_path / "credentials.json").write_text(json.dumps(samples.credential()))
        own: dict[str, Any] = {
            "base_url": sim.base_urls["commonsdb"],
            "api_key": DEFAULT_KEYS["commonsdb"],
            "signing_key": samples.signing_jwk(),
            "declarer_id": DEFAULT_DID,
            "credentials_file": str(tmp_path / "credentials.json"),
            "tsa_url": sim.tsa_url,
            **getattr(request, "param", {}),
        }
        settings = made_of(commonsdb=own, storage_url=tmp_path.as_uri(), redis_url="redis://nowhere")
        run = shared.Runtime(settings, ledger=Ledger(redis_client, clock=clock), clock=clock)
        app.set_current()
        shared.use(run)
        yield Office(app, run, clock, sim)
        run.close()
        shared.use(None)


def test_from_plain_metadata_to_a_confirmed_declaration(office: Office) -> None:
    """The intent is in the ledger before the POST; the metadata is dropped with the receipt."""
    office.sim.set_switches("commonsdb", findable_after_seconds=20)
    office.declare()
    job = office.until(lambda job: job.state is JobState.POLLING)
    assert job.request is None
    assert job.intent is not None
    assert job.outcome()["remote_id"] == job.intent["identifier"]
    last = office.finish()
    assert (last.state, last.result) == (
        JobState.SUCCEEDED,
        {"identifier": job.intent["identifier"], "confirmed": True},
    )
    assert office.declared() == 1
    assert office.states() == ["accepted", "submitting", "polling", "succeeded"]


@pytest.mark.parametrize("kind", ["reset", "reset_after", "cut_body", "rubbish", "500", "503"])
def test_whatever_becomes_of_the_answer_it_is_declared_once(office: Office, kind: Any) -> None:
    """Found again if it arrived; made anew, after the grace, if it certainly did not."""
    office.sim.fault("commonsdb", kind, operation="declare", times=1)
    office.declare()
    doubtful = office.until(lambda job: job.state is JobState.IN_DOUBT)
    assert doubtful.request is not None
    first = doubtful.intent
    started = office.clock.now()
    job = office.finish()
    assert job.state is JobState.SUCCEEDED
    assert office.declared() == 1
    assert first is not None
    assert job.intent is not None
    anew = kind in ("reset", "500", "503")
    assert (job.intent["identifier"] != first["identifier"]) is anew
    assert job.intent.get("earlier", []) == ([first["identifier"]] if anew else [])
    assert (office.clock.now() - started >= 300 - 10) is anew
    assert office.asked("declare") == (2 if anew else 1)


def test_the_new_intent_is_written_by_the_move_that_sends_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies right after it is found with the identifier that may have been sent."""
    office.sim.fault("commonsdb", "reset", operation="declare", times=1)
    office.declare()
    first = office.until(lambda job: job.state is JobState.IN_DOUBT).intent

    async def dies(_run: object, jobs: list[Job], _announcer: object) -> list[Any]:
        if jobs:
            raise MemoryError
        return []

    real = submitting._send_all
    monkeypatch.setattr(submitting, "_send_all", dies)
    held = office.until(lambda job: job.state is JobState.SUBMITTING)
    monkeypatch.setattr(submitting, "_send_all", real)
    assert first is not None
    assert held.intent is not None
    assert held.intent["identifier"] != first["identifier"]
    assert held.intent["earlier"] == [first["identifier"]]
    assert office.finish().state is JobState.SUCCEEDED
    assert office.declared() == 1


def test_a_person_who_looked_need_not_wait_for_the_grace(office: Office) -> None:
    """`settle resolve --resubmit` at once: the same identifier, so even a late arrival would be the same record."""
    office.sim.fault("commonsdb", "reset", operation="declare", times=1)
    office.declare()
    doubtful = office.until(lambda job: job.state is JobState.IN_DOUBT)
    office.run.ledger.write([resolving(None, resubmit=True)(doubtful, office.clock.now())])
    job = office.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.intent == doubtful.intent
    assert office.declared() == 1


@pytest.mark.parametrize("kind", ["500", "reset", "429", "401", "rubbish"])
def test_an_outage_of_the_authority_costs_time_only(office: Office, kind: Any) -> None:
    """No doubt, no request to CommonsDB, its gate stays open; once stamps are to be had the job goes on."""
    office.sim.fault("tsa", kind)
    office.declare()
    tries = 0

    def seen(job: Job) -> bool:
        nonlocal tries
        tries = job.attempts
        assert job.state is JobState.ACCEPTED
        assert office.run.ledger.paused_until("commonsdb") == 0
        return tries >= 5

    waiting = office.until(seen)
    assert waiting.failure is not None
    assert waiting.failure.kind == "not_ready"
    assert office.asked("declare") == 0
    office.sim.clear_faults()
    assert office.finish().state is JobState.SUCCEEDED
    assert office.declared() == 1
    assert "in_doubt" not in office.states()


@pytest.mark.parametrize(
    ("office", "named"),
    [
        ({"signing_key": None}, "SETTLE_COMMONSDB__SIGNING_KEY"),
        ({"declarer_id": None}, "SETTLE_COMMONSDB__DECLARER_ID"),
        ({"credentials_file": None}, "SETTLE_COMMONSDB__CREDENTIALS_FILE"),
    ],
    indirect=["office"],
)
def test_what_signing_lacks_is_waited_for(office: Office, named: str) -> None:
    """The job says what to set; the rest of its bundle is not held up."""
    office.declare()
    office.declare("d-2", declarerId=DEFAULT_DID, credentials=[samples.credential()])
    waiting = office.until(lambda job: job.failure is not None)
    assert waiting.state is JobState.ACCEPTED
    assert waiting.failure is not None
    assert waiting.failure.kind == "not_configured"
    assert named in waiting.failure.message
    other = office.until(lambda job: job.finished or job.failure is not None, "d-2")
    assert other.finished is ("SIGNING_KEY" not in named)


def test_a_signing_key_that_is_gone_leaves_a_doubt_a_doubt(office: Office) -> None:
    """It cannot be made anew, so it waits, and is asked for again."""
    office.sim.fault("commonsdb", "reset", operation="declare", times=1)
    office.declare()
    office.until(lambda job: job.state is JobState.IN_DOUBT)
    provider: Any = office.run.provider("commonsdb")
    signer = provider.signer
    lacking = provider.settings.model_copy(update={"signing_key": None})
    provider.signer = type(signer)(lacking)
    waiting = office.until(lambda job: job.failure is not None and job.failure.kind == "not_configured")
    assert waiting.state is JobState.IN_DOUBT
    provider.signer = signer
    assert office.finish().state is JobState.SUCCEEDED
    assert office.declared() == 1


@pytest.mark.parametrize("off", [-300, 300])
def test_a_wrong_clock_here_costs_one_refusal(office: Office, off: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's time is learnt, and the next attempt has it."""
    real = office.clock.now
    monkeypatch.setattr(office.run.ledger, "now", lambda: real() + off)
    office.declare()
    assert office.finish().state is JobState.SUCCEEDED
    assert office.declared() == 1
    assert office.sim.account()["commonsdb"].requests["declare"] == {"400": 1, "202": 1}


def test_a_successor_is_declared_when_the_older_one_is_done(office: Office) -> None:
    """Triggered right after it: it waits, and both succeed."""
    office.sim.plan("commonsdb", NAME, duration=60)
    office.declare()
    first = office.until(lambda job: job.state is JobState.POLLING)
    office.declare("d-2", supersedes=first.outcome()["remote_id"])
    second = office.finish("d-2")
    assert second.state is JobState.SUCCEEDED
    assert office.finish().state is JobState.SUCCEEDED
    assert office.declared() == 2
    assert office.asked("declare") == 2
