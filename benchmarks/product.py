"""Settle as it is run: Redis with its append-only file, the two workers of the Procfile, events on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.processes import Child
from config.embedded import EmbeddedRedis
from config.runtime import Runtime
from config.settings import inherited, made_of

#: As in the Procfile.
WORKERS: dict[str, Sequence[str]] = {
    "poll-worker": ["-Q", "celery,settle.submit,settle.poll", "-P", "prefork", "-c", "2"],
    "file-worker": ["-Q", "settle.files", "-P", "threads", "-c", "4"],
}
RECORD = {"primaryEmail": "a@example.com", "revenue": 1.0, "orderId": "4711"}
KEY = "a-key-of-the-benchmark"


@dataclass
class Product:
    """Settle at work.

    Args:
        redis: its server.
        environment: of its processes.
        runtime: a look at the same ledger from here.
        folder: for logs.
    """

    redis: EmbeddedRedis
    environment: dict[str, str]
    runtime: Runtime
    folder: Path
    exits: ExitStack
    workers: dict[str, Child] = field(default_factory=dict)

    @property
    def pids(self) -> list[int]:
        """The tops of its process trees, Redis first."""
        assert self.redis.process is not None
        return [self.redis.process.pid, *(child.pid for child in self.workers.values())]

    @property
    def client(self) -> Any:
        """A client of its Redis."""
        return self.runtime.redis

    def start(self, name: str, arguments: Sequence[str] | None = None, *, wait: bool = True) -> Child:
        """Start one worker."""
        arguments = WORKERS[name] if arguments is None else arguments
        command = [sys.executable, "-m", "celery", "-A", "config.celery_app", "worker", "-n", f"{name}@%h", *arguments]
        child = self.exits.enter_context(Child(command, self.environment, self.folder / f"settle-{name}.log"))
        self.workers[name] = child
        if wait:
            child.wait_for(" ready.")
        return child

    def send(self, jobs: int, *, prefix: str = "job", workflow: str = "lettrlabs.convert", **kwargs: Any) -> None:
        """Trigger jobs with `send_task`, as any application would."""
        if not kwargs:
            kwargs = {"conversions": [RECORD]}
        with Celery(broker=self.redis.url) as app, app.producer_pool.acquire() as producer:
            for number in range(jobs):
                app.send_task(f"settle.{workflow}", kwargs=kwargs, task_id=f"{prefix}-{number}", producer=producer)


@contextmanager
def fresh_redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """An empty Redis, append-only file on, synced every second."""
    state = folder / "redis-state"
    shutil.rmtree(state, ignore_errors=True)
    with EmbeddedRedis(state) as redis:
        yield redis


@contextmanager
def running(url: str, folder: Path, *, workers: Sequence[str] = tuple(WORKERS), **settings: Any) -> Iterator[Product]:
    """Settle, polling a server.

    Args:
        url: the status server.
        folder: for state and logs.
        workers: which of the Procfile's workers run.
        settings: of the provider, beside those of the benchmark.
    """
    with ExitStack() as exits:
        server = exits.enter_context(fresh_redis(folder))
        environment = {
            **inherited(own=False),
            "SETTLE_REDIS_URL": server.url,
            "SETTLE_STATE_DIR": str(folder / "settle-state"),
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("LETTRLABS", "UNIQUE_TOKENS"):
            environment |= {f"SETTLE_{name}__BASE_URL": url, f"SETTLE_{name}__API_KEY": KEY}
            environment |= {f"SETTLE_{name}__{field.upper()}": str(value) for field, value in settings.items()}
        runtime = Runtime(made_of(redis_url=server.url))
        exits.callback(runtime.close)
        exits.callback(runtime.redis.close)
        product = Product(server, environment, runtime, folder, exits)
        for name in workers:
            product.start(name, wait=False)
        for child in product.workers.values():
            child.wait_for(" ready.")
        yield product
