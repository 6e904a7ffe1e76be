"""The plans of looks that this process goes by, made of what the ledger has learnt."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.clock import Clock
from jobs.learning import Lesson, Plan, plan, scout, spread
from jobs.policy import PollPolicy

#: What was learnt is read again after so many seconds, once for all jobs of a provider.
_FRESH = 5.0
#: A plan is made anew after so many seconds, if anything was learnt; at once, if so much more (a share) is known.
_AGED, _GROWN = 60.0, 0.5

Learnt = Mapping[str, Mapping[int, float]]
Counts = Sequence[tuple[str, Mapping[int, float]]]


class Memory(Protocol):
    """Keeps what was learnt: the ledger; in `benchmarks/poll_policy.py` a table."""

    def learn(self, provider: str, counts: Counts) -> None:
        """As `Ledger.learn`."""
        ...

    def learnt(self, provider: str) -> Learnt:
        """As `Ledger.learnt`."""
        ...


@dataclass(frozen=True, slots=True)
class _Made:
    plan: Plan | None
    at: float
    known: float


class Plans:
    """Plans by provider and workflow, each no older than a minute.

    Args:
        memory: keeps what was learnt.
        clock: tells the time.
    """

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self._memory = memory
        self._clock = clock
        self._tables: dict[str, tuple[float, Learnt]] = {}
        self._made: dict[tuple[str, str], _Made] = {}
        self._lock = threading.Lock()

    def _table(self, provider: str) -> Learnt:
        now = self._clock.now()
        at, table = self._tables.get(provider, (float("-inf"), {}))
        if now - at >= _FRESH:
            table = self._memory.learnt(provider)
            self._tables[provider] = (now, table)
        return table

    def wait(
        self, provider: str, workflow: str, job_id: str, age: float, window: PollPolicy, delay: float
    ) -> float | None:
        """The seconds until the next look at a job, if enough is known to tell. A scout is looked at more often.

        Args:
            provider: the job's.
            workflow: the job's.
            job_id: the job.
            age: seconds since its submission.
            window: the provider's.
            delay: the mean delay wanted, in seconds.
        """
        with self._lock:
            weights = self._table(provider).get(workflow, {})
            known, now = sum(weights.values()), self._clock.now()
            made = self._made.get((provider, workflow))
            if made is None or known > made.known * (1 + _GROWN) or now - made.at >= _AGED:
                made = _Made(plan(weights, window, delay), now, known)
                self._made[provider, workflow] = made
        if made.plan is None:
            return None
        wait = made.plan.wait(age)
        return min(wait, max(window.minimum, 0.3 * age)) if scout(job_id) else wait

    def learn(self, provider: str, lessons: Sequence[Lesson]) -> None:
        """Add the ends of jobs."""
        with self._lock:
            table = self._table(provider)
        counts = [(each.workflow, spread(table.get(each.workflow, {}), each.after, each.by)) for each in lessons]
        self._memory.learn(provider, counts)
