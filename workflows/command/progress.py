"""Progress of long work: on standard error, and only on a terminal; in a pipe or a log there is nothing of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from jobs.record import Job, Unreadable

#: Jobs with a bar each; of more only the sum is shown.
_EACH = 12


@contextmanager
def _drawn(*columns: ProgressColumn) -> Iterator[Progress]:
    console = Console(stderr=True)
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown, redirect_stdout=False) as progress:
        yield progress


class Bar:
    """How far one piece of work is."""

    def __init__(self, progress: Progress, what: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=total)

    def step(self, number: int = 1) -> None:
        """So much more is done."""
        self._progress.advance(self._task, number)

    def say(self, text: str) -> None:
        """Print a line on standard output; above the bar, where both are on one terminal."""
        if self._progress.disable or not sys.stdout.isatty():
            click.echo(text)
        else:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def reach(self, done: int) -> None:
        """So much is done by now."""
        self._progress.update(self._task, completed=done)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Bar]:
    """A bar for as long as the block runs.

    Args:
        what: is done, in a word or two.
        total: steps of it; none if nobody knows.
    """
    with _drawn(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as drawn:
        yield Bar(drawn, what, total)


class JobBars:
    """Bars for jobs on their way: one each, or one for all if they are many.

    Args:
        progress: draws them.
        total: how many jobs there are.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._tasks: dict[str, TaskID] = {}

    def show(self, jobs: Sequence[Job | Unreadable | None]) -> None:
        """Where they are now; none for a job that is not recorded."""
        if self._total > _EACH:
            done = sum(job is not None and job.finished for job in jobs)
            self._tell("jobs", total=self._total, completed=done, said=f"{done}/{self._total}")
            return
        for job in jobs:
            if isinstance(job, Job):
                known = job.finished or job.progress is not None  # else the bar only shows that something goes on
                done = 100 if job.finished else job.progress or 0
                said = ", ".join(filter(None, (job.state.value, job.word, f"{done} %" if known else "")))
                self._tell(job.id, total=100 if known else None, completed=done, said=said)

    def _tell(self, name: str, *, total: int | None, completed: int, said: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, said="")
        self._progress.update(self._tasks[name], total=total, completed=completed, said=said)


class _Said(ProgressColumn):
    """What a provider says is no markup."""

    def render(self, task: Task) -> Text:
        """The text of one row."""
        return Text(str(task.fields.get("said", "")))


@contextmanager
def job_bars(total: int) -> Iterator[JobBars]:
    """Bars for so many jobs, for as long as the block runs."""
    with _drawn(TextColumn("{task.description}", markup=False), BarColumn(), _Said()) as drawn:
        yield JobBars(drawn, total)
