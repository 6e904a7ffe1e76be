"""What waiting costs: CPU of idle workers, memory, lateness beside very many waiting jobs, a worker that comes."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks import product, seeding
from benchmarks.processes import Sampler, tree
from benchmarks.server_client import StatusServer

#: Seconds between two polls of a job that is under way.
INTERVAL = 2.0
#: Lateness is the median of so many spans.
SPANS = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """What so many waiting jobs cost.

    Args:
        jobs: how many wait.
        idle_cpu: of the poll worker, share of a core, while nothing is due.
        idle_redis: likewise of Redis.
        growth: of the largest worker process's memory against none waiting, as a share.
        bytes_per_job: in Redis.
        lateness: of other polls meanwhile, milliseconds: p50, p99.
        lateness_before: the same with a hundredth of the jobs waiting.
        joined: seconds until a worker that started later had done its first bundle.
    """

    jobs: int
    idle_cpu: float
    idle_redis: float
    growth: float
    bytes_per_job: float
    lateness: tuple[float, float]
    lateness_before: tuple[float, float]
    joined: float


def measure(server: StatusServer, folder: Path, *, jobs: int, load: int, seconds: float) -> Waiting:
    """One run.

    Args:
        server: the remote API.
        folder: for state and logs.
        jobs: that wait and are not due.
        load: polls per second of other jobs, while lateness is measured.
        seconds: for each of the spans.
    """
    window: dict[str, Any] = {"poll_first": INTERVAL, "poll_minimum": INTERVAL, "poll_maximum": INTERVAL}
    few = max(jobs // 100, 1)
    with product.running(server.url, folder, **window) as settle:
        server.reset(polls=1_000_000, interval=INTERVAL)
        ledger: Any = settle.runtime.ledger
        active = int(load * INTERVAL)
        seeding.waiting(ledger, settle.client, few, first=86_000, spread=300, begin=0)
        seeding.waiting(ledger, settle.client, active, first=0.5, spread=INTERVAL, begin=10_000_000)
        before = _lateness(server, seconds)
        _stop_active(settle, active)
        worker = settle.workers["poll-worker"].pid
        rss = {process.pid: process.memory_info().rss for process in tree([worker])}
        used = _used(settle.client)
        seeding.waiting(ledger, settle.client, jobs - few, first=86_000, spread=300, begin=few)
        per_job = (_used(settle.client) - used) / (jobs - few)
        time.sleep(1.0)  # what was under way ends
        redis_pid = settle.pids[0]
        with Sampler([worker]) as of_worker, Sampler([redis_pid]) as of_redis:
            start = time.monotonic()
            time.sleep(seconds)
            end = time.monotonic()
        seeding.waiting(ledger, settle.client, active, first=0.5, spread=INTERVAL, begin=20_000_000)
        after = _lateness(server, seconds)
        with _first_bundle(settle, "later") as first:  # not before: whoever listens to every event is load as well
            growth = max(
                process.memory_info().rss / rss[process.pid] - 1 for process in tree([worker]) if process.pid in rss
            )
            later = settle.start("later", product.WORKERS["poll-worker"])
            ready = time.monotonic()
            joined = first(30.0) - ready
        later.stop()
    return Waiting(
        jobs=jobs,
        idle_cpu=of_worker.used(start, end) / (end - start),
        idle_redis=of_redis.used(start, end) / (end - start),
        growth=growth,
        bytes_per_job=per_job,
        lateness=after,
        lateness_before=before,
        joined=max(joined, 0.0),
    )


def _lateness(server: StatusServer, seconds: float) -> tuple[float, float]:
    """p50 and p99 in milliseconds, medians of spans: one alone differs from the next by a third. The first two rounds
    of polls are left out.
    """
    time.sleep(2 * INTERVAL + 0.5)
    spans = []
    for _ in range(SPANS):
        server.mark()
        time.sleep(seconds)
        spans.append(server.report().lateness)
    return statistics.median(span["p50"] for span in spans), statistics.median(span["p99"] for span in spans)


def _stop_active(settle: product.Product, active: int) -> None:
    """Take the jobs under way out of the set of wake-up times: from now on nothing is due."""
    ids = [f"seed-{number}" for number in range(10_000_000, 10_000_000 + active)]
    end = time.monotonic() + 5.0
    while time.monotonic() < end:  # one that is being polled comes back
        settle.client.zrem("settle:{lettrlabs}:due", *ids)
        time.sleep(0.2)


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


@contextmanager
def _first_bundle(settle: product.Product, name: str) -> Iterator[Any]:
    """Waits for the first poll bundle that a worker of this name has done, by Celery's events."""
    seen: list[float] = []
    stop = threading.Event()

    def note(event: dict[str, Any]) -> None:
        if event["hostname"].startswith(f"{name}@") and not seen:
            seen.append(time.monotonic())

    def listen() -> None:
        with Celery(broker=settle.redis.url) as app, app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"task-succeeded": note})
            while not stop.is_set():
                try:
                    receiver.capture(limit=None, timeout=0.5, wakeup=False)
                except TimeoutError:
                    continue

    def wait(deadline: float) -> float:
        end = time.monotonic() + deadline
        while not seen:
            if time.monotonic() > end:
                raise RuntimeError(f"{name} did no bundle within {deadline:g} s")
            time.sleep(0.01)
        return seen[0]

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield wait
    finally:
        stop.set()
        thread.join(5)
