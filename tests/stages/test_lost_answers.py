"""Submissions whose answers are lost: each API's books show at most one job, and few, ever rarer repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
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
from workflows.acts import resolving

RECORDS = [{"primaryEmail": "a@example.test", "revenue": 12.5, "orderId": "SO-1"}]
PAID = {name: samples.payment()[name] for name in ("id", "ident")}
BODIES: dict[str, dict[str, Any]] = {
    "commonsdb.declare": {"metadata": samples.plain_metadata("Harbour"), "registry": samples.plain_registry()},
    "myipr.certify": {"name": "Harbour", "category_id": "10", "hash": "ab" * 32, "size": "12"},
    "unique_tokens.produce": {"alphabet": "UPPER_HEX", "digits": 8, "size": 1000, "payment": PAID},
    "lettrlabs.convert": {"conversions": RECORDS},
}
SUBMITS = {
    "commonsdb": "declare",
    "myipr": "create",
    "unique_tokens": "post_tokens",
    "lettrlabs": "create_conversions",
}


class World:
    """The stages and the four simulated APIs on one clock."""

    def __init__(self, app: Celery, run: shared.Runtime, clock: ManualClock, sim: Running) -> None:
        self.app, self.run, self.clock, self.sim = app, run, clock, sim
        self.sent_at: dict[str, list[float]] = {}

    def trigger(self, workflow: str, job_id: str = "j-1", **kwargs: Any) -> None:
        """Send a job to the entry task."""
        task = self.app.tasks[f"settle.{workflow}"]
        task.push_request(id=job_id, hostname="test")
        try:
            with pytest.raises(Ignore):
                task.run(**(kwargs or BODIES[workflow]))
        finally:
            task.pop_request()

    def until(self, done: Callable[[Job], bool], job_id: str = "j-1") -> Job:
        """Skip from wake-up to wake-up until the job is as wanted; notes when submissions left."""
        for _ in range(1500):
            job = self.run.ledger.get(job_id)
            if done(job):
                return job
            assert job.due_at is not None
            self.clock.advance(max(job.due_at - self.clock.now(), self._opens(job), 0.0) + 0.001)
            before = self.sent(job.provider)
            ticking.tick(self.run, [job.provider])
            new = self.sent(job.provider) - before
            self.sent_at.setdefault(job.provider, []).extend([self.clock.now()] * new)
        raise AssertionError(f"still {self.run.ledger.get(job_id)}")

    def _opens(self, job: Job) -> float:
        return self.run.ledger.paused_until(job.provider) - self.clock.now()

    def finish(self, job_id: str = "j-1") -> Job:
        return self.until(lambda job: job.finished, job_id)

    def sent(self, provider: str) -> int:
        """How many submissions reached the API, or what stands before it."""
        return sum(self.sim.account()[provider].requests.get(SUBMITS[provider], {}).values())  # type: ignore[index]

    def accepted(self, provider: str) -> int:
        """How many the API carried out, by its own books."""
        return sum(job.accepted for job in self.sim.account()[provider].jobs.values())  # type: ignore[index]


@pytest.fixture
def world(app: Celery, redis_client: redis.Redis, tmp_path: Path) -> Iterator[World]:
    """All four configured."""
    clock = ManualClock()
    (tmp_path / "credentials.json").write_text(json.dumps(samples.credential()))
    with running(now=clock.now, seed=5) as sim:
        own: dict[str, dict[str, Any]] = {
            name: {"base_url": sim.base_urls[name], "api_key": DEFAULT_KEYS[name], "deadline": 7200.0}  # type: ignore[index]
            for name in SUBMITS
        }
        own["commonsdb"] |= {
            "signing_key": samples.signing_jwk(),
            "declarer_id": DEFAULT_DID,
            "credentials_file": str(tmp_path / "credentials.json"),
            "tsa_url": sim.tsa_url,
        }
        settings = made_of(**own, storage_url=(tmp_path / "store").as_uri(), redis_url="redis://nowhere")
        run = shared.Runtime(settings, ledger=Ledger(redis_client, clock=clock), clock=clock)
        app.set_current()
        shared.use(run)
        yield World(app, run, clock, sim)
        run.close()
        shared.use(None)


@pytest.mark.parametrize("status", [302, 401, 404, 500, 502, 503])
@pytest.mark.parametrize("workflow", BODIES)
def test_a_proxy_that_passes_the_request_on_and_answers_itself(world: World, workflow: str, status: int) -> None:
    """Whatever it answers, the job is found, carried out once, and succeeds."""
    provider = workflow.partition(".")[0]
    world.sim.fault(provider, "proxy", operation=SUBMITS[provider], status=status, times=1)
    world.trigger(workflow)
    assert world.until(lambda job: job.state is not JobState.ACCEPTED).state is JobState.IN_DOUBT
    assert world.finish().state is JobState.SUCCEEDED
    assert (world.sent(provider), world.accepted(provider)) == (1, 1)


@pytest.mark.parametrize("status", [302, 404, 503])
@pytest.mark.parametrize("workflow", BODIES)
def test_the_page_of_a_proxy_fails_no_job(world: World, workflow: str, status: int) -> None:
    """The request was not passed on: it is sent again where the contract protects that, or a person is asked."""
    provider = workflow.partition(".")[0]
    world.sim.fault(provider, "proxy", operation=SUBMITS[provider], status=status, passes_on=False, times=1)
    world.trigger(workflow)
    if provider == "unique_tokens":  # paid, and its list proves nothing
        job = world.until(lambda job: job.attempts > 3)
        assert job.state is JobState.IN_DOUBT
        decide = resolving(None, resubmit=True)
        assert world.run.ledger.write([decide(job, world.clock.now())])[0] is not None
    assert world.finish().state is JobState.SUCCEEDED
    assert (world.sent(provider), world.accepted(provider)) == (2, 1)


def test_a_documented_refusal_is_repeated(world: World) -> None:
    """CommonsDB's gateway documents 429 as turned away: sent again without a doubt."""
    world.sim.fault("commonsdb", "429", operation="declare", times=1)
    world.trigger("commonsdb.declare")
    job = world.finish()
    assert job.state is JobState.SUCCEEDED
    targets = [event.target for event in world.run.ledger.events("commonsdb", "j-1")]
    assert JobState.IN_DOUBT not in targets


@pytest.mark.parametrize("workflow", ["myipr.certify", "lettrlabs.convert"])
def test_a_job_whose_answers_are_always_lost_is_sent_a_few_times_ever_more_rarely(world: World, workflow: str) -> None:
    """Then a person decides, who may have it sent once more."""
    provider = workflow.partition(".")[0]
    world.sim.fault(provider, "proxy", operation=SUBMITS[provider], status=502, passes_on=False)
    world.trigger(workflow, **BODIES[workflow], deadline=6 * 3600.0)
    job = world.until(lambda job: job.failure is not None and job.failure.kind == "submissions_exhausted")
    assert job.state is JobState.IN_DOUBT
    sent_at = world.sent_at[provider]
    gaps = [later - earlier for earlier, later in pairwise(sent_at)]
    assert [round(gap / 5) for gap in gaps] == pytest.approx([1, 12, 48, 180], rel=0.2)
    world.until(lambda job: job.attempts > 3 and job.updated_at > sent_at[-1] + 3600)
    assert world.sent(provider) == 5
    world.sim.clear_faults()
    decide = resolving(None, resubmit=True)
    assert world.run.ledger.write([decide(world.run.ledger.get("j-1"), world.clock.now())])[0] is not None
    assert world.finish().state is JobState.SUCCEEDED
    assert (world.sent(provider), world.accepted(provider)) == (6, 1)


def test_new_jobs_are_held_back_while_submissions_are_lost(world: World) -> None:
    """One probe at a time finds out whether they are answered again; look-ups that succeed do not tell."""
    world.sim.fault("myipr", "proxy", operation="create", status=503, passes_on=False)
    for number in range(20):
        body = {**BODIES["myipr.certify"], "name": f"Harbour {number}", "hash": f"{number:02x}" * 32}
        world.trigger("myipr.certify", f"j-{number}", **body)
        ticking.tick(world.run, ["myipr"])
        world.clock.advance(0.2)
    first = world.sent("myipr")
    assert first < 8
    world.sim.clear_faults()
    assert all(world.finish(f"j-{number}").state is JobState.SUCCEEDED for number in range(20))
    assert world.accepted("myipr") == 20
    assert world.sent("myipr") == 20 + first
