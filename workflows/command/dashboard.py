"""`settle watch` without ids: where all jobs stand, live. One look costs the same however many jobs there are."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from config.runtime import Runtime
from jobs.record import Job, Unreadable
from jobs.search import Gate, Overview
from jobs.states import TERMINAL, JobState
from workflows.command import shapes, show
from workflows.command.follow import Told

#: Between two looks, and between two questions to the workers, which may take `_PATIENCE` to answer; seconds.
_LOOK, _ASKED, _PATIENCE = 0.5, 5.0, 1.0

#: Over how much time a rate per second, and one per minute, is taken, seconds.
SHORT, LONG = 10.0, 60.0

#: A gate that is closed for longer was closed by a person, until it is resumed, seconds.
_A_YEAR = 365 * 86400.0

_GATES = {Gate.OPEN: "green", Gate.CLOSED: "red", Gate.HALF_OPEN: "yellow"}


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the ledger saw.

    Args:
        at: the time by the ledger's clock, seconds since the epoch.
        providers: where their jobs stand.
        jobs: the latest ones, newest first.
    """

    at: float
    providers: Sequence[Overview]
    jobs: Sequence[Job | Unreadable]


def look(run: Runtime, names: Sequence[str], limit: int) -> Look:
    """Look once: four round trips, however many jobs there are.

    Args:
        run: the runtime.
        names: of the providers.
        limit: of the latest jobs so many.
    """
    found = run.ledger.overview(names)
    jobs = run.ledger.read(run.ledger.newest(names, limit))
    return Look(run.ledger.now(), found, [job for job in jobs if job is not None])


class Throughput:
    """How many jobs finish, told by the counts of one look and those of an earlier one."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def add(self, seen: Look) -> None:
        """Take the counts of a look."""
        ended = {each.provider: sum(each.counts.get(state, 0) for state in TERMINAL) for each in seen.providers}
        self._seen.append((seen.at, ended))
        # One look before the window stays, so that it is always full.
        while len(self._seen) > 2 and self._seen[1][0] <= seen.at - LONG:
            self._seen.popleft()

    def per_second(self, provider: str, window: float) -> float | None:
        """Of one provider, in the mean over so many seconds; none before the second look."""
        at, ended = self._seen[-1]
        first, former = self._seen[0]
        for each in self._seen:
            if each[0] <= at - window:
                first, former = each
        if at <= first:
            return None
        return max(ended[provider] - former.get(provider, 0), 0) / (at - first)


def _counts(found: Overview) -> str:
    counts = [f"{state.value} {found.counts[state]:,}" for state in JobState if found.counts.get(state)]
    return ", ".join(counts + ([f"unreadable {found.unreadable:,}"] if found.unreadable else []))


def _gate(found: Overview, now: float) -> Text:
    text = Text(found.gate.value.replace("_", " "), style=_GATES[found.gate])
    if found.gate is Gate.CLOSED:
        left = found.paused_until - now
        text.append(" until resumed" if left > _A_YEAR else f", {show.duration(max(left, 0.0))} left")
    return text


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def view(seen: Look, throughput: Throughput, workers: int | None) -> Group:
    """The dashboard as it stands.

    Args:
        seen: the last look.
        throughput: has seen it, too.
        workers: how many answer; none if nobody knows.
    """
    grid = Table(expand=False, header_style="bold")
    for column in ("provider", "gate", "jobs", "done /s", "/min", "late"):
        grid.add_column(column, justify="right" if column in ("done /s", "/min", "late") else "left", overflow="fold")
    for found in seen.providers:
        long = throughput.per_second(found.provider, LONG)
        grid.add_row(
            Text(found.provider, style="bold"),
            _gate(found, seen.at),
            _counts(found),
            _rate(throughput.per_second(found.provider, SHORT)),
            _rate(None if long is None else long * 60),
            Text(show.duration(found.lateness), style="red" if found.lateness > LONG else "") if found.lateness else "",
        )
    under_way = sum(found.unfinished for found in seen.providers)
    known = "workers: asked" if workers is None else f"workers: {workers}"
    clock = time.strftime("%H:%M:%S", time.localtime(seen.at))
    head = Text(f"{clock}   {under_way:,} jobs under way   {known}   q quits", style="dim")
    latest = [show.brief(seen.jobs, seen.at, title="the latest jobs")] if seen.jobs else []
    return Group(head, grid, *latest)


class Workers:
    """Asks the workers now and then, in a thread of its own, so that no look waits for their answers."""

    def __init__(self) -> None:
        self.number: int | None = None  #: that answered last; none before that, or if the broker does not answer
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        from config.celery_app import app  # late: it takes a while, and the first look need not wait

        while True:
            try:
                self.number = len(app.control.ping(timeout=_PATIENCE) or [])
            except (OperationalError, RedisError, OSError):
                self.number = None
            time.sleep(_ASKED)


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Keys as they are pressed, without Enter: gives what waits so many seconds for one, and returns it or nothing."""
    if not sys.stdin.isatty():

        def sleep(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield sleep
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def wait(seconds: float) -> str:
        pressed, _, _ = select.select([terminal], [], [], seconds)
        return os.read(terminal, 16).decode("utf-8", "replace") if pressed else ""

    try:
        tty.setcbreak(terminal)
        yield wait
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def live(run: Runtime, names: Sequence[str], limit: int) -> None:
    """Show the dashboard until q is pressed, or until Ctrl-C."""
    throughput, workers = Throughput(), Workers()
    with keys() as key, Live(console=show.console, auto_refresh=False, screen=True) as screen:
        while True:
            seen = look(run, names, limit)
            throughput.add(seen)
            screen.update(view(seen, throughput, workers.number), refresh=True)
            if "q" in key(_LOOK).lower():
                return


def changes(run: Runtime, names: Sequence[str], limit: int, *, as_json: bool) -> None:
    """Print a line for each change of a provider's figures, or of one of the latest jobs, until Ctrl-C."""
    told, shown = Told(as_json=as_json), dict[str, tuple[object, ...]]()
    while True:
        seen = look(run, names, limit)
        for found in seen.providers:
            news = (dict(found.counts), found.gate)
            if shown.get(found.provider) != news:
                shown[found.provider] = news
                plain = f"# {found.provider}\t{found.gate}\t{_counts(found)}"
                click.echo(shapes.Provider.of(found).text() if as_json else plain)
        for job in reversed(seen.jobs):
            told.tell(job)
        sys.stdout.flush()
        time.sleep(_LOOK)
