"""Rate limits: how many requests of a provider are answered within a sliding window."""

import math
from collections import deque
from email.utils import formatdate

from simulator.clock import Clock
from simulator.switches import Switches


class Rates:
    """Counts the requests that were let through, by provider."""

    def __init__(self) -> None:
        self._passed: dict[str, deque[float]] = {}

    def clear(self) -> None:
        """Forget all requests."""
        self._passed.clear()

    def wait(self, provider: str, switches: Switches, clock: Clock, now: float) -> float | None:
        """Let a request through and give None, or give the real seconds until the next one may come."""
        if switches.rate_limit is None:
            return None
        window, passed = clock.real(switches.rate_window_seconds), self._passed.setdefault(provider, deque())
        while passed and passed[0] <= now - window:
            passed.popleft()
        if len(passed) >= switches.rate_limit:
            return passed[0] + window - now
        passed.append(now)
        return None


def header(switches: Switches, wait: float, now: float) -> dict[str, str]:
    """Give the headers that tell a refused caller to come back after `wait` real seconds."""
    if switches.retry_after_form == "absent":
        return {}
    seconds = math.ceil(wait)
    text = str(seconds) if switches.retry_after_form == "seconds" else formatdate(math.ceil(now) + seconds, usegmt=True)
    return {"Retry-After": text}
