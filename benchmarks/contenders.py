"""Who takes part in the comparison: how each is started and triggered, the same work for all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import ROOT, Child
from benchmarks.product import fresh_redis
from config.settings import inherited

PEERS = ROOT / "benchmarks" / "peers"


@dataclass(frozen=True)
class Pythons:
    """The environments: Settle's own (plain Celery and the loops run there too), the peers', and arq's."""

    peers: Path
    arq: Path
    own: Path = Path(sys.executable)


@dataclass
class Run:
    """A contender at work: the tops of its process trees, and how to trigger jobs."""

    pids: list[int]
    trigger: Callable[[int], None]


@dataclass(frozen=True)
class Contender:
    """One of those who poll.

    Args:
        name: in the table.
        keeps: whether jobs survive the death of its processes, in principle.
        workers: the commands of its processes; none for a loop.
        trigger: the command that triggers jobs, without their number.
        ready: what each process prints when it is ready.
        environment: of its processes, beside what all get.
    """

    name: str
    keeps: bool
    workers: Sequence[Sequence[str]] = ()
    trigger: Sequence[str] = ()
    ready: Sequence[str] = field(default=())
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self, url: str, interval: float, folder: Path) -> Iterator[Run]:
        """Its processes, with a Redis of its own whose append-only file is on."""
        environment = {
            **inherited(own=False),
            "BENCH_URL": url,
            "BENCH_INTERVAL": str(interval),
            "PYTHONPATH": str(PEERS),
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }
        with ExitStack() as exits:
            pids: list[int] = []
            if self.workers:
                redis = exits.enter_context(fresh_redis(folder))
                environment["BENCH_REDIS"] = redis.url
                assert redis.process is not None
                pids.append(redis.process.pid)
            children = [
                exits.enter_context(Child(command, environment, folder / f"{self.name.replace(' ', '-')}-{n}.log"))
                for n, command in enumerate(self.workers)
            ]
            for child, ready in zip(children, self.ready, strict=True):
                child.wait_for(ready)
            pids += [child.pid for child in children]

            def trigger(jobs: int) -> None:
                log = folder / f"{self.name.replace(' ', '-')}-trigger.log"
                started = exits.enter_context(Child([*self.trigger, str(jobs)], environment, log))
                if not self.workers:  # the loop itself
                    pids.append(started.pid)

            yield Run(pids, trigger)
            for child in children:
                child.stop(kill=True)  # what is left of its jobs interests nobody


def peers(pythons: Pythons) -> list[Contender]:
    """All of them but Settle."""
    own, other, arq = str(pythons.own), str(pythons.peers), str(pythons.arq)

    def celery(name: str, *pool: str) -> Contender:
        worker = [own, "-m", "celery", "-A", "celery_retry", "worker", "-l", "WARNING", *pool]
        return Contender(name, True, [worker], [own, str(PEERS / "celery_retry.py")], ["[queues]"])

    return [
        celery("Celery retry, prefork 2", "-P", "prefork", "-c", "2"),
        celery("Celery retry, threads 20", "-P", "threads", "-c", "20"),
        Contender(
            "dramatiq, httpx",
            True,
            [[other, "-m", "dramatiq", "dramatiq_delay", "--processes", "2", "--threads", "8"]],
            [other, str(PEERS / "dramatiq_delay.py")],
            ["Worker process is ready for action"],
        ),
        Contender(
            "taskiq, aiohttp",
            True,
            [
                [other, "-m", "taskiq", "worker", "taskiq_schedule:broker", "--workers", "2"],
                [other, "-m", "taskiq", "scheduler", "taskiq_schedule:scheduler", "--update-interval", "1"],
            ],
            [other, str(PEERS / "taskiq_schedule.py")],
            ["Listening started", "Startup completed"],
        ),
        *(
            Contender(
                f"arq, {client}",
                True,
                [[arq, "-m", "arq", "arq_defer.WorkerSettings"]] * 2,
                [arq, str(PEERS / "arq_defer.py")],
                ["Starting worker", "Starting worker"],
                {"BENCH_CLIENT": client},
            )
            for client in ("aiohttp", "httpx")
        ),
        Contender("asyncio + httpx", False, (), [own, str(PEERS / "loops.py"), "httpx"]),
        Contender("asyncio + aiohttp", False, (), [own, str(PEERS / "loops.py"), "aiohttp"]),
    ]
