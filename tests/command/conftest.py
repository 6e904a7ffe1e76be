"""The command in this process, over a ledger on an embedded server and an application without workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery

from config import runtime as shared
from config.settings import made_of
from config.settings import settings as configured
from jobs.clock import ManualClock
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from workflows.command import main


@dataclass(frozen=True)
class Done:
    """How the command ended."""

    code: int
    out: str
    err: str


Settle = Callable[..., Done]


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Settle]:
    """Runs the command as its entry point does: `settle("list", "--json")`."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["settle", *arguments])
        capsys.readouterr()
        configured.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    yield run
    configured.cache_clear()
    shared.use(None)


class House:
    """A ledger, and an application that knows of it."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self.app, self.clock = app, ManualClock()
        self.ledger = Ledger(client, clock=self.clock)
        self.run = shared.Runtime(made_of(redis_url="redis://nowhere"), ledger=self.ledger, clock=self.clock)

    def job(self, job_id: str, state: JobState = JobState.POLLING, **changes: Any) -> Job:
        """Put a job into the ledger; a second later there may be another one."""
        self.clock.advance(1)
        now = self.clock.now()
        known: dict[str, Any] = {
            "provider": "myipr",
            "workflow": "myipr.certify",
            "created_at": now,
            "updated_at": now,
            "deadline_at": now + 3600,
            "due_at": None if state in (JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED) else now + 60,
            **changes,
        }
        job = Job(job_id, state=state, **known)
        self.ledger.accept(job)
        return job


@pytest.fixture(scope="session")
def app() -> Celery:
    """Knows the workflows, and sends messages nowhere."""
    celery = Celery("command", broker="memory://", backend="cache+memory://", set_as_current=False)
    celery.conf.result_expires = 3600
    for name in ("commonsdb", "myipr", "unique_tokens", "lettrlabs", "group"):
        celery.loader.import_task_module(f"workflows.{name}")
    return celery


@pytest.fixture
def house(app: Celery, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[House]:
    """What the command finds."""
    monkeypatch.setitem(sys.modules, "config.celery_app", SimpleNamespace(app=app))
    monkeypatch.chdir(tmp_path)
    made = House(app, redis_client)
    shared.use(made.run)
    yield made
    made.run.close()
    shared.use(None)
