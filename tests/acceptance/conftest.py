"""Real worker processes, a real Redis-protocol server and a real HTTP server, as a user would run them.

The tests marked `every_broker` also run with RabbitMQ and with Redis behind Sentinel (`--broker`, see `servers.py`).
With Sentinel, the primary fails over in the middle of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

import simulator
from config.embedded import EmbeddedRedis
from jobs.ledger import Ledger
from tests.forked import python
from tests.waiting import PATIENCE
from workflows.command.stack import Process, celery, pointed_at, running

from .servers import Servers, servers


@dataclass
class House:
    """A whole Settle: server, simulator, workers; and a client that knows only the addresses."""

    servers: Servers
    sim: simulator.Running
    environment: dict[str, str]
    client: Celery
    redis: redis.Redis
    ledger: Ledger
    exits: ExitStack
    log: list[str] = field(default_factory=list)

    @property
    def server(self) -> EmbeddedRedis:
        """The Redis, to be killed and started again."""
        return self.servers.redis

    def worker(self, *arguments: str, name: str = "worker", **settings: str) -> Process:
        """Start one more worker and wait until it is ready."""
        command = celery("worker", "-n", f"{name}-{uuid.uuid4().hex[:6]}@%h", *arguments)
        environment = {**self.environment, **settings}
        started = Process(name, command, environment, lambda _, line: self.log.append(line))
        self.exits.enter_context(running(started))
        started.wait_for(" ready.")
        return started

    def settle(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command to its end, as a person would."""
        return python("-m", "workflows.command", *arguments, env=self.environment, stdin=stdin, timeout=90)

    def send(self, workflow: str, kwargs: dict[str, Any], job_id: str | None = None) -> Any:
        """Trigger a workflow by name, from a client that has none of our code; again, under the same id, if it must."""
        name, own_id, end = f"settle.{workflow}", job_id or uuid.uuid4().hex, time.monotonic() + PATIENCE
        while True:
            try:
                return self.client.send_task(name, kwargs=kwargs, task_id=own_id)
            # A stock client's first message after a lost connection; `patches` keeps the last of these from workers.
            except (OperationalError, redis.RedisError, AttributeError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


def _environment(own: Servers, sim: simulator.Running, state_dir: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")}
    return {
        **clean,
        **pointed_at(sim.url),
        **own.environment,
        "SETTLE_STATE_DIR": str(state_dir),
        "PYTHONUNBUFFERED": "1",
    }


def _house(tmp: Path, own: Servers, exits: ExitStack) -> House:
    sim = exits.enter_context(simulator.running(speed=own.speed, seed=11))
    client = own.celery()
    exits.callback(client.close)
    connection = exits.enter_context(own.client())
    connection.flushall()
    return House(own, sim, _environment(own, sim, tmp), client, connection, Ledger(connection), exits)


def _servers(request: pytest.FixtureRequest, folder: Path) -> Servers:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "master")
    return servers(request.config.getoption("--broker"), folder, worker)


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house of one's own, without workers yet."""
    with ExitStack() as exits:
        own = exits.enter_context(_servers(request, tmp_path))
        yield _house(tmp_path, own, exits)


# With `--dist=loadgroup` the tests of a pool run in one process, and share its house there (tests/groups.py).
@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def pool(request: pytest.FixtureRequest) -> str:
    """Each pool that Settle works in."""
    return str(request.param)


@pytest.fixture(scope="module")
def pooled(request: pytest.FixtureRequest, pool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with one worker of this pool, for a whole module."""
    tmp = tmp_path_factory.mktemp(pool)
    with ExitStack() as exits:
        house = _house(tmp, exits.enter_context(_servers(request, tmp)), exits)
        house.worker("-P", pool, "-c", "2", name=pool)
        yield house


@pytest.fixture(autouse=True)
def _told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the workers logged and where each job stands is shown with a test that fails."""
    name = next((name for name in ("pooled", "house") if name in request.fixturenames), None)
    house: House | None = request.getfixturevalue(name) if name else None
    begin = len(house.log) if house else 0
    yield
    if house:
        print(*house.log[begin:], *_whereabouts(house), sep="\n")  # noqa: T201


def _whereabouts(house: House) -> list[str]:
    """A line for each event of each job, and one for where it is now."""
    with suppress(redis.RedisError):
        providers = ("commonsdb", "lettrlabs", "myipr", "unique_tokens")
        events = [event for provider in providers for event in house.ledger.events(provider)]
        jobs = [job for provider in providers for job in house.ledger.jobs(provider)]
        return [
            *(f"{e.at:.3f} {e.job_id}: {e.source} → {e.target} {dict(e.data)}" for e in events),
            *(f"{job.id} is {job.state}, due {job.due_at}, {job.failure}" for job in jobs),
        ]
    return ["Redis does not answer"]


@pytest.fixture(autouse=True)
def _disturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Behind Sentinel: as soon as the test has submitted a job, the primary fails over."""
    if request.config.getoption("--broker") != "sentinel":
        yield
        return
    name = "pooled" if "pooled" in request.fixturenames else "house"
    house: House = request.getfixturevalue(name)
    house.servers.prepare()
    before, over, failed = _submitted(house), threading.Event(), []
    begun = threading.Event()

    def disturb() -> None:
        while not over.wait(0.05):
            if _submitted(house) > before:
                begun.set()
                try:
                    house.servers.disturb()
                except Exception as error:
                    failed.append(error)
                return

    thread = threading.Thread(target=disturb)
    thread.start()
    yield
    over.set()
    thread.join()
    assert begun.is_set()
    assert not failed, failed


def _submitted(house: House) -> int:
    return sum(len(provider.jobs) for provider in house.sim.account().providers.values())


PYTHON = sys.executable
