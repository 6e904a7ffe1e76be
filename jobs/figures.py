"""What the ledger says of all jobs together, for metrics: read in one round trip, cheap with any number of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis import Redis

from jobs.clock import Clock
from jobs.codec import millis
from jobs.states import JobState

#: Jobs that one look for the oldest passes at most; about six milliseconds of Redis.
_PASSED = 5000


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """The jobs and the gate of one provider. Times in seconds."""

    jobs: Mapping[JobState, int]  #: how many are in each state; of finished ones, how many ever got there
    due: int  #: jobs whose wake-up time has passed
    overdue: float  #: since the earliest of these
    oldest: float | None  #: the age of the oldest unfinished job; 0 without any, none while it is searched for
    bundles: int  #: bundles queued or running
    gate: str  #: `open`, `closed`, or `half_open`: one job is the probe
    pause: float  #: until the gate opens
    failures: int  #: pauses in a row


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """All providers, and the server they lie on."""

    providers: Mapping[str, ProviderFigures]
    memory: int  #: bytes used by the server
    memory_limit: int  #: bytes it may use; 0 for no limit


class FigureReader:
    """Reads the figures of a ledger. Changes nothing but a mark of how far the oldest job was searched for.

    Args:
        redis: the ledger's client, with `decode_responses=True`.
        clock: the ledger's.
        prefix: in front of every key.
    """

    def __init__(self, redis: Redis, clock: Clock, *, prefix: str = "settle:") -> None:
        self._redis: Any = redis
        self._clock = clock
        self._prefix = prefix
        self._oldest = self._redis.register_script((files("jobs") / "lua" / "oldest.lua").read_text())

    def read(self, providers: Iterable[str]) -> LedgerFigures:
        """The figures as they are now.

        Raises:
            RedisError: the ledger is away.
        """
        names, now = list(providers), millis(self._clock.now())
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            self._ask(pipe, f"{self._prefix}{{{name}}}:", now)
        pipe.info("memory")
        *answers, memory = pipe.execute()
        parts = len(answers) // len(names) if names else 0
        return LedgerFigures(
            {name: _figures(answers[i * parts : (i + 1) * parts], now) for i, name in enumerate(names)},
            memory=int(memory["used_memory"]),
            memory_limit=int(memory.get("maxmemory", 0)),
        )

    def _ask(self, pipe: Any, head: str, now: int) -> None:
        pipe.hgetall(f"{head}counts")
        pipe.zcount(f"{head}due", "-inf", now)
        pipe.zrange(f"{head}due", 0, 0, withscores=True)
        pipe.zcount(f"{head}bundles", f"({now}", "+inf")
        pipe.hmget(f"{head}gate", "paused_until", "failures")
        self._oldest(keys=[f"{head}index", f"{head}due", f"{head}oldest"], args=[_PASSED], client=pipe)


def _figures(answers: list[Any], now: int) -> ProviderFigures:
    counts, due, first, bundles, (until, failed), oldest = answers
    pause, failures = max(int(until or 0) - now, 0) / 1000, int(failed or 0)
    created = {"none": now, "search": None}.get(oldest, oldest)
    return ProviderFigures(
        jobs={state: max(int(counts.get(state, 0)), 0) for state in JobState},
        due=int(due),
        overdue=max(now - first[0][1], 0.0) / 1000 if first else 0.0,
        oldest=max(now - float(created), 0.0) / 1000 if created is not None else None,
        bundles=int(bundles),
        gate="closed" if pause else "half_open" if failures else "open",
        pause=pause,
        failures=failures,
    )
