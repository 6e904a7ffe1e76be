"""The stages with a clock that stands still, a ledger on an embedded server and a provider that follows a script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Ignore

from config import runtime as shared
from config.settings import made_of
from jobs.artifacts import Artifact
from jobs.clock import ManualClock
from jobs.ledger import Event, Ledger
from jobs.record import Job
from providers.base import Located, Observation, Operation, Verdict
from providers.group import Groups
from providers.myipr import CertifyRequest
from tasks import clock as ticking

BODY = {"name": "a file", "category_id": "10", "hash": "ab" * 32, "size": "12"}
RUNNING = Observation(Verdict.RUNNING, word="in_progress")
DONE = Observation(Verdict.SUCCEEDED, word="completed", result={"version_id": "v-1"})


class Script(Operation[CertifyRequest]):
    """An operation that answers from a list; an exception in the list is raised, the last answer stays."""

    name = "certify"
    request = CertifyRequest

    def __init__(self) -> None:
        super().__init__(None)
        self.answers: dict[str, deque[Any]] = {
            "submit": deque([{"remote_id": "r-1"}]),
            "locate": deque([Located()]),
            "observe": deque([DONE]),
            "download": deque([b""]),
            "cancel": deque([True]),
            "tidy": deque([{}]),
        }
        self.calls: list[tuple[str, str]] = []

    def says(self, call: str, *answers: Any) -> None:
        """Set what a call answers, one after the other."""
        self.answers[call] = deque(answers)

    def count(self, call: str) -> int:
        """How often a call was made."""
        return sum(1 for made, _ in self.calls if made == call)

    def _answer(self, call: str, what: str) -> Any:
        self.calls.append((call, what))
        answers = self.answers[call]
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def intent(self, request: Any, job_id: str) -> dict[str, Any]:
        return {"job": job_id}

    async def submit(self, request: Any, intent: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer("submit", intent["job"])  # type: ignore[no-any-return]

    async def locate(self, request: Any, intent: Mapping[str, Any]) -> Located:
        return self._answer("locate", intent["job"])  # type: ignore[no-any-return]

    async def observe(self, job: Job) -> Observation:
        await asyncio.sleep(0)
        return self._answer("observe", job.id)  # type: ignore[no-any-return]

    async def cancel(self, job: Job) -> bool:
        return self._answer("cancel", job.id)  # type: ignore[no-any-return]

    async def tidy(self, job: Job) -> dict[str, Any]:
        return self._answer("tidy", job.id)  # type: ignore[no-any-return]

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        body = self._answer("download", artifact.name)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 7):
                yield body[start : start + 7]

        yield chunks()


class _Scripted:
    """A provider whose only operation is the script."""

    def __init__(self, script: Script, settings: Any) -> None:
        self.script, self.settings = script, settings
        self.http = self

    def operation(self, name: str) -> Script:
        return self.script

    async def close(self) -> None:
        return None


class Stage:
    """What a test of the stages holds in its hands."""

    def __init__(self, app: Celery, run: shared.Runtime, clock: ManualClock, script: Script) -> None:
        self.app, self.run, self.clock, self.script = app, run, clock, script

    def trigger(self, job_id: str = "j-1", workflow: str = "myipr.certify", **kwargs: Any) -> None:
        """Send a job to the entry task."""
        task = self.app.tasks[f"settle.{workflow}"]
        task.push_request(id=job_id, hostname="test")
        try:
            with pytest.raises(Ignore):
                task.run(**(kwargs or BODY))
        finally:
            task.pop_request()

    def job(self, job_id: str = "j-1") -> Job:
        return self.run.ledger.get(job_id)

    def tick(self) -> float:
        """One tick of the clock; what it publishes runs at once."""
        return ticking.tick(self.run, list(self.run.settings.providers()))

    def until(self, done: Callable[[Job], bool], job_id: str = "j-1", ticks: int = 2000) -> Job:
        """Skip from wake-up to wake-up until the job is as wanted."""
        for _ in range(ticks):
            job = self.job(job_id)
            if done(job):
                return job
            assert job.due_at is not None, f"{job.state} without a wake-up"
            opens = self.run.ledger.paused_until(job.provider)
            self.clock.advance(max(job.due_at - self.clock.now(), opens - self.clock.now(), 0.0) + 0.001)
            self.tick()
        raise AssertionError(f"still {self.job(job_id)} after {ticks} ticks")

    def finish(self, job_id: str = "j-1") -> Job:
        return self.until(lambda job: job.finished, job_id)

    def history(self, job_id: str = "j-1") -> list[str]:
        """The states of a job, from its events."""
        events: list[Event] = self.run.ledger.events("myipr", job_id)
        return [event.target.value for event in events if event.source is not event.target]


@pytest.fixture(scope="session")
def app() -> Celery:
    """The stages in an application that runs every message at once, in this process."""
    celery = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=True)
    celery.conf.update(task_always_eager=True, task_ignore_result=True, result_expires=3600)
    for name in ("submit", "poll", "fetch", "verify", "emit"):
        celery.loader.import_task_module(f"tasks.{name}")
    for name in ("commonsdb", "myipr", "unique_tokens", "lettrlabs", "group"):
        celery.loader.import_task_module(f"workflows.{name}")
    celery.finalize()
    return celery


@pytest.fixture
def stage(app: Celery, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage with everything fresh."""
    clock, script = ManualClock(), Script()
    own = {"base_url": "http://127.0.0.1:9", "api_key": "a-key"}
    settings = made_of(myipr=own, unique_tokens=own, storage_url=tmp_path.as_uri(), redis_url="redis://nowhere")
    run = shared.Runtime(settings, ledger=Ledger(redis_client, clock=clock), clock=clock)
    groups = Groups(settings.providers()["group"], run.ledger)  # type: ignore[arg-type]
    monkeypatch.setattr(
        run,
        "provider",
        lambda name: groups if name == "group" else _Scripted(script, settings.providers()[name]),
    )
    app.set_current()
    shared.use(run)
    yield Stage(app, run, clock, script)
    run.close()
    shared.use(None)


__all__ = ["BODY", "DONE", "RUNNING", "Stage"]
