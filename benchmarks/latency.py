"""Lateness of polls under load, and what a poll costs with few and with very many jobs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import product, seeding
from benchmarks.contenders import Contender
from benchmarks.processes import Sampler
from benchmarks.server_client import StatusServer

#: Seconds between two polls of a job.
INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class Late:
    """Lateness of polls, milliseconds, at so many polls per second as were asked for and as were made."""

    offered: float
    made: float
    p50: float
    p99: float


def of_settle(server: StatusServer, folder: Path, *, rate: float, seconds: float) -> Late:
    """Settle, with jobs that are being polled every `INTERVAL`, their starts spread evenly."""
    window: dict[str, Any] = {"poll_first": INTERVAL, "poll_minimum": INTERVAL, "poll_maximum": INTERVAL}
    jobs = max(int(rate * INTERVAL), 1)
    server.reset(polls=1_000_000, interval=INTERVAL)
    with product.running(server.url, folder, **window) as settle:
        ledger: Any = settle.runtime.ledger
        seeding.waiting(ledger, settle.client, jobs, first=1.0, spread=INTERVAL)
        return _watch(server, rate, seconds)


def of_loop(loop: Contender, server: StatusServer, folder: Path, *, rate: float, seconds: float) -> Late:
    """A loop that keeps nothing, with the same load."""
    server.reset(polls=1_000_000, interval=INTERVAL)
    with loop.running(server.url, INTERVAL, folder) as run:
        run.trigger(max(int(rate * INTERVAL), 1))
        return _watch(server, rate, seconds)


def _watch(server: StatusServer, rate: float, seconds: float) -> Late:
    time.sleep(2 * INTERVAL + 1.5)  # the first polls of all jobs: connections are opened, workers warm up
    server.mark()
    before = server.report()
    time.sleep(seconds)
    after = server.report()
    made = (after.polls - before.polls) / (after.now - before.now)
    return Late(rate, made, after.lateness["p50"], after.lateness["p99"])


def cost_per_poll(server: StatusServer, folder: Path, *, jobs: int, seconds: float) -> tuple[float, float]:
    """CPU of Settle and Redis per poll, milliseconds, and polls per second, with so many jobs and all it can do."""
    window: dict[str, Any] = {"poll_first": 0.01, "poll_minimum": 0.01, "poll_maximum": 0.01}
    server.reset(polls=1_000_000, interval=0.01)
    with product.running(server.url, folder, **window) as settle:
        ledger: Any = settle.runtime.ledger
        seeding.waiting(ledger, settle.client, jobs, first=0.0, spread=0.0)
        server.wait(polls=500, deadline=60)
        with Sampler(settle.pids) as sampler:
            time.sleep(1.0)
            before = server.report()
            time.sleep(seconds)
            after = server.report()
        polls = after.polls - before.polls
        return 1000 * sampler.used(before.now, after.now) / polls, polls / (after.now - before.now)
