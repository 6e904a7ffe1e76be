"""The clock of the simulator: real seconds from one callable, simulated seconds at a chosen speed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Now = Callable[[], float]
"""Gives real wall-clock seconds since the epoch, like `time.time`."""


class ManualClock:
    """A wall clock that stands still until it is moved: pass it as `now` in tests.

    `start` is in real seconds since the epoch.
    """

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start

    def __call__(self) -> float:
        """Give the time that the clock shows."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by real `seconds`."""
        self._now += seconds


class Clock:
    """Real time, and durations compressed by `speed` (simulated seconds per real second).

    Only durations are compressed. Points in time stay real, because clients compare them with their own
    clock (the 60 s window of CommonsDB, contract commonsdb 2.2).
    """

    def __init__(self, now: Now = time.time, speed: float = 1.0) -> None:
        if speed <= 0:
            message = f"speed must be above 0 simulated seconds per second, not {speed}"
            raise ValueError(message)
        self.now = now
        self.speed = speed

    def real(self, simulated_seconds: float) -> float:
        """Give the real seconds that `simulated_seconds` take."""
        return simulated_seconds / self.speed


@lru_cache(maxsize=8192)
def iso_milliseconds(moment: float) -> str:
    """Write real epoch seconds as ISO 8601 UTC with milliseconds and `Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
