"""The ledger alone at very many jobs: memory, and what each of its scripts costs. The figures of `docs/scaling.md`.

    python -m benchmarks.ledger_scale [--jobs 1000000]

A real Redis with its append-only file, one client, no workers and no HTTP. Jobs wait for polls that are spread over an
hour; those that are due are claimed, begun and rescheduled in bundles, as the poll stage does, and new ones recorded.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import seeding
from benchmarks.processes import cpu_seconds
from benchmarks.product import RECORD, fresh_redis
from config.runtime import Runtime
from config.settings import made_of
from jobs.ledger import ClaimLimits
from jobs.record import Announcement, Job
from jobs.states import JobState

LIMITS = ClaimLimits(bundle_size=100, bundles=1_000_000, lease=30.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation on one job: microseconds of Redis' core, and of wall time with one client."""

    redis: float
    wall: float


class Measured:
    """A ledger in a Redis of its own."""

    def __init__(self, redis: Any) -> None:
        self.runtime = Runtime(made_of(redis_url=redis.url))
        self.ledger: Any = self.runtime.ledger
        self.client: Any = self.runtime.redis
        self._pid = redis.process.pid

    def timed(self, jobs: int, work: Any) -> Cost:
        """Cost of some work per job."""
        cpu, start = cpu_seconds([self._pid]), time.monotonic()
        work()
        wall = time.monotonic() - start
        return Cost(1e6 * (cpu_seconds([self._pid]) - cpu) / jobs, 1e6 * wall / jobs)

    def accept(self, jobs: int) -> Cost:
        """New jobs, fifty at a time, as the intake does."""
        now = self.ledger.now()

        def job(number: int) -> tuple[Job, Announcement]:
            job_id = f"new-{now}-{number}"
            new = Job(
                id=job_id,
                provider=seeding.PROVIDER,
                workflow=seeding.WORKFLOW,
                state=JobState.ACCEPTED,
                created_at=now,
                updated_at=now,
                deadline_at=now + 86400,
                due_at=now + 7200,
                digest="0" * 64,
                request={"conversions": [RECORD]},
            )
            return new, Announcement(f"celery-task-meta-{job_id}", "x" * 400, 86400)

        def work() -> None:
            for first in range(0, jobs, 50):
                self.ledger.accept_all([job(number) for number in range(first, first + 50)])

        return self.timed(jobs, work)

    def poll(self, jobs: int) -> Cost:
        """Claim, begin and reschedule, a hundred at a time."""

        def work() -> None:
            for _ in range(0, jobs, 100):
                bundle = self.ledger.claim(seeding.PROVIDER, LIMITS)
                if len(bundle.claims) < 100:
                    raise RuntimeError("fewer jobs are due than are to be polled")
                wakes = [(claim.id, claim.seq) for claim in bundle.claims]
                now = self.ledger.now()
                begun = self.ledger.begin(seeding.PROVIDER, wakes, (JobState.POLLING,), LIMITS.lease)
                moves = [job.stay(now=now, due_at=now + 3600, polls=job.polls + 1, word="processing") for job in begun]
                if None in self.ledger.write(moves):
                    raise RuntimeError("a claim was lost")
                self.ledger.close_bundle(seeding.PROVIDER, bundle.name)

        return self.timed(jobs, work)

    def idle_claim(self, times: int = 2000) -> Cost:
        """A claim that finds nothing."""

        def work() -> None:
            for _ in range(times):
                self.ledger.claim("myipr", LIMITS)

        return self.timed(times, work)


def main() -> None:
    """Measure at a tenth, and at all of the jobs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger_scale", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="settle-scale-") as name, fresh_redis(Path(name)) as redis:
        ledger = Measured(redis)
        there = 0
        for jobs in (asked.jobs // 100, asked.jobs // 10, asked.jobs):
            before = int(ledger.client.info("memory")["used_memory"])
            added = jobs - there
            due = min(10_000, added // 2)
            seeding.waiting(ledger.ledger, ledger.client, added - due, first=3600, spread=3600, begin=there)
            seeding.waiting(ledger.ledger, ledger.client, due, first=-60, spread=1, begin=jobs - due)
            there = jobs
            each = (int(ledger.client.info("memory")["used_memory"]) - before) / added
            poll, accept, idle = ledger.poll(due), ledger.accept(2_000), ledger.idle_claim()
            print(
                f"{jobs:>9,} jobs: {each:,.0f} bytes each; Redis µs: poll {poll.redis:.1f}, accept {accept.redis:.1f}, "
                f"claim of nothing {idle.redis:.1f}; wall µs with one client: poll {poll.wall:.0f}, accept "
                f"{accept.wall:.0f}, claim of nothing {idle.wall:.0f}",
                flush=True,
            )
        state = Path(name) / "redis-state" / "redis"
        start = time.monotonic()
        redis.stop()
        stopped = time.monotonic()
        size = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
        redis.start()
        print(
            f"append-only file {size / 2**20:,.0f} MiB; stop {stopped - start:.1f} s, start with all jobs "
            f"{time.monotonic() - stopped:.1f} s"
        )


if __name__ == "__main__":
    main()
