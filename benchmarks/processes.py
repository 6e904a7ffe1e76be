"""Processes of a benchmark, and what they use: CPU and memory of whole trees, read by psutil."""

from __future__ import annotations

import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).parents[1]


def tree(pids: Sequence[int]) -> list[psutil.Process]:
    """These processes and all their children that live."""
    found = []
    for pid in pids:
        try:
            top = psutil.Process(pid)
            found += [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU used so far by these trees, in seconds, children that have ended included."""
    total = 0.0
    for process in tree(pids):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def largest_rss(pids: Sequence[int]) -> int:
    """Resident memory of the largest process in these trees, in bytes."""
    return max(int(process.memory_info().rss) for process in tree(pids))


class Sampler:
    """Notes the CPU of some trees every quarter of a second, so that any span can be looked at afterwards.

    Args:
        pids: the tops of the trees.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = list(pids)
        self._samples: list[tuple[float, float]] = []
        self._rest_before, self._own_before = 0.0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            used = cpu_seconds(self._pids)
            self._samples.append((time.monotonic(), used))
            if self._stop.wait(0.25):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def used(self, start: float, end: float) -> float:
        """CPU seconds between two moments of `time.monotonic`."""
        return self._at(end) - self._at(start)

    def _at(self, moment: float) -> float:
        after = bisect_left(self._samples, (moment, 0.0))
        if after == 0:
            return self._samples[0][1]
        if after == len(self._samples):
            return self._samples[-1][1]
        (t0, c0), (t1, c1) = self._samples[after - 1], self._samples[after]
        return c0 + (c1 - c0) * (moment - t0) / (t1 - t0)


class Child:
    """One process in a session of its own; its output goes to a file.

    Args:
        command: the program and its arguments.
        environment: all of its environment.
        log: where its output goes.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, text: str, deadline: float = 60.0) -> str:
        """The first line of its output that holds a text.

        Raises:
            RuntimeError: it ended, or did not print that in time; the message has the end of its output.
        """
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            output = self.log.read_text(errors="replace")
            for line in output.splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(
            f"{self.log.name}: no {text!r} in its output:\n{self.log.read_text(errors='replace')[-2000:]}"
        )

    def stop(self, *, kill: bool = False) -> None:
        """End it, with its children."""
        ours = tree([self.pid])
        if not kill and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                kill = True
        for process in ours:
            try:
                if process.is_running():
                    process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
