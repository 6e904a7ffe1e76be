"""Waiting for a condition with a deadline, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: What is waited for comes well within this time, and before the time-out of a test, seconds.
PATIENCE = 40.0


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait for a condition with a deadline; returns what it gave."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not in {patience:g} s: {what}")
