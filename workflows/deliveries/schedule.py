"""When a delivery that failed is tried again: after a wait that grows three times with each failure, then never."""

from __future__ import annotations

import random
from functools import cache

from config.targets import Target

_GROWTH = 3.0


@cache
def waits(first: float, longest: float, together: float) -> tuple[float, ...]:
    """The waits after each failure, seconds.

    Args:
        first: the first one.
        longest: none is longer.
        together: all of them; the last one is what is left of it.
    """
    found: list[float] = []
    wait, left = min(first, longest), together
    while left > 0:
        found.append(min(wait, left))
        left -= found[-1]
        wait = min(wait * _GROWTH, longest)
    return tuple(found)


def wait_after(target: Target, tries: int) -> float | None:
    """Seconds until the next try; none if there shall be no further one.

    Up to a tenth more by chance: what failed together is not tried again together.

    Args:
        target: its settings.
        tries: how often it was tried, above 0.
    """
    planned = waits(target.retry_first, target.retry_longest, target.retry_for)
    return planned[tries - 1] * random.uniform(1.0, 1.1) if tries <= len(planned) else None
