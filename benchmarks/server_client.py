"""The harness's side of the status server."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from benchmarks.processes import ROOT, Child
from config.settings import inherited

_READY = "status server ready on "


@dataclass(frozen=True, slots=True)
class Report:
    """The server's books. Times are of `time.monotonic`, lateness in milliseconds."""

    polls: int
    submitted: int
    finished: int
    extra: int  #: polls of jobs that were complete already
    first: float  #: the first submission
    last_finish: float
    now: float
    lateness: dict[str, float]
    slot: float
    slots: list[tuple[int, int]]

    def span(self, low: float = 0.1, high: float = 0.9) -> tuple[float, float, int]:
        """From when to when these shares of the polls arrived, and how many did in between."""
        start = end = done = 0.0
        for slot, number in self.slots:
            done += number
            if not start and done >= self.polls * low:
                start, before = (slot + 1) * self.slot, done
            if done >= self.polls * high:
                end = (slot + 1) * self.slot
                break
        if end <= start:
            raise RuntimeError(f"{self.polls} polls in less than one slot: nothing to measure")
        return start, end, int(done - before)


class StatusServer:
    """The remote API, in a process of its own.

    Args:
        python: of an environment that has uvloop.
        folder: for its output.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        script = str(ROOT / "benchmarks" / "status_server.py")
        self._child = Child([str(python), script], inherited(own=False), folder / "status-server.log")
        self.pid = self._child.pid
        self.port = int(self._child.wait_for(_READY).partition(_READY)[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())

    def reset(self, *, polls: int, interval: float, **file: Any) -> None:
        """Begin anew: so many polls per job, so many seconds between them; `size`, `digest`, `path` of the file."""
        self._ask("PUT", "/control/reset?" + urlencode({"polls": polls, "interval": interval, **file}))

    def mark(self) -> None:
        """Forget the lateness so far."""
        self._ask("PUT", "/control/mark")

    def report(self) -> Report:
        """What the server knows."""
        return Report(**self._ask("GET", "/control/report"))

    def wait(self, *, deadline: float, finished: int | None = None, polls: int | None = None) -> Report:
        """Wait until so many jobs are finished or so many polls were made, or the time is up."""
        end = time.monotonic() + deadline
        while True:
            report = self.report()
            if finished is not None and report.finished >= finished:
                return report
            if polls is not None and report.polls >= polls:
                return report
            if time.monotonic() >= end:
                return report
            time.sleep(0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.stop()
