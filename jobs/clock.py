"""Time comes from one injected clock, so that tests skip hours of countdowns, leases and deadlines."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Protocol

from redis import Redis

logger = logging.getLogger(__name__)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


def _elapsed() -> float:
    """Seconds that no clock adjustment moves; a machine's sleep counts, where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ServerClock:
    """The clock of the Redis server: the same for all machines, however wrong their own clocks are.

    A lease that one worker writes is judged by another one, so both must mean the same time. The difference to this
    machine's count of seconds is learnt with `TIME`, again and again in the background; while Redis is away the count
    goes on.

    Args:
        redis: the ledger's client.
        refresh: the difference is learnt again after so many seconds.
    """

    #: How fast two crystals may drift apart at the worst, seconds per second.
    _DRIFT = 1e-3

    def __init__(self, redis: Redis, *, refresh: float = 10.0) -> None:
        self._redis: Any = redis
        self._refresh = refresh
        self._learnt: tuple[float, float, float] | None = None  # difference, its uncertainty, when
        self._due = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the epoch by the server's clock.

        Raises:
            RedisError: the server has never answered yet.
        """
        learnt = self._learnt or self._learn()
        count = _elapsed()
        if count >= self._due and self._lock.acquire(blocking=False):
            self._due = count + self._refresh
            try:
                threading.Thread(target=self._learn_again, name="settle-clock", daemon=True).start()
            except RuntimeError:  # the interpreter is on its way out: what is known will do
                self._lock.release()
        return count + learnt[0]

    def _learn_again(self) -> None:
        try:
            self._learn()
        except Exception as error:  # away, or being closed: what is known carries on, and the next one may do better
            logger.info("clock_not_learnt", extra={"fields": {"error": type(error).__name__}})
        finally:
            self._lock.release()

    def _learn(self) -> tuple[float, float, float]:
        """Ask the server, and keep the answer unless an earlier one is still more exact."""
        before = _elapsed()
        seconds, micros = self._redis.time()
        after = _elapsed()
        self._due = after + self._refresh
        found = (seconds + micros / 1e6 - (before + after) / 2, (after - before) / 2, after)
        held = self._learnt
        if held is None or found[1] <= held[1] + (after - held[2]) * self._DRIFT:
            self._learnt = found
        return self._learnt or found


class ManualClock:
    """A clock that stands still until it is told to advance; for tests.

    Args:
        start: seconds since the epoch at which it stands.
    """

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Skip so many seconds."""
        self._now += seconds
