"""Receipts are written as they come: none waits for a slow neighbour, and a failed write is told to all it concerns."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tasks import submit as submitting
from tasks.submit import _Writer


class Ledger:
    """Stands for `conclude`: notes what is written together, and holds the first write until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.written: list[list[str]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self._error = error

    def __call__(self, _: Any, moves: list[str], __: Any) -> None:
        self.written.append(list(moves))
        self.begun.set()
        assert self.go.wait(10)
        if self._error and len(self.written) > 1:
            raise self._error


async def _three(ledger: Ledger) -> list[Any]:
    """One move, and two more while it is being written."""
    writer: Any = _Writer(None, None)  # type: ignore[arg-type]
    first = asyncio.create_task(writer.write("a"))
    await asyncio.to_thread(ledger.begun.wait, 10)
    others = [asyncio.create_task(writer.write(move)) for move in "bc"]
    await asyncio.sleep(0)
    assert ledger.written == [["a"]]
    ledger.go.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_comes_during_a_write_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first goes at once and alone; whoever waits returns only when its own move is written."""
    ledger = Ledger()
    monkeypatch.setattr(submitting, "conclude", ledger)
    assert asyncio.run(_three(ledger)) == [None, None, None]
    assert ledger.written == [["a"], ["b", "c"]]


def test_a_failed_write_is_told_to_all_it_concerns(monkeypatch: pytest.MonkeyPatch) -> None:
    """And to nobody else."""
    error = OSError("away")
    ledger = Ledger(error)
    monkeypatch.setattr(submitting, "conclude", ledger)
    assert asyncio.run(_three(ledger)) == [None, error, error]
