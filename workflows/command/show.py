"""How jobs look on a terminal, in a pipe and to machines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.record import Job, Unreadable
from jobs.states import JobState
from workflows.command import shapes

console = Console()

#: Of every command that prints data.
as_json = click.option("--json", "as_json", is_flag=True, help="JSON for machines, one object a line.")

#: Members of a list that a terminal shows.
_MEMBERS = 20

_COLOURS = {
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.EXPIRED: "magenta",
    JobState.CANCELLED: "bright_black",
    JobState.IN_DOUBT: "yellow",
}


def state(job: Job) -> Text:
    """The state in its colour."""
    return Text(job.state.value, style=_COLOURS.get(job.state, "cyan"))


def remark(job: Job) -> str:
    """What there is to say about a job: what is wrong, else what came of it, else what the provider says."""
    if job.failure:
        return job.failure.message
    if job.state is JobState.SUCCEEDED and job.artifacts:
        return ", ".join(f"{artifact.name} {artifact.verification}" for artifact in job.artifacts)
    return job.message or ""


def _progress(job: Job) -> ProgressBar | str:
    if job.progress is None or job.finished:
        return ""
    return ProgressBar(total=100, completed=job.progress, width=12)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _short(value: object) -> str:
    """A value of a result; of the members of a large group the first few."""
    if isinstance(value, list) and len(value) > _MEMBERS:
        return f"{', '.join(map(str, value[:_MEMBERS]))} and {len(value) - _MEMBERS} more: see --json"
    return str(value)


def _next(job: Job) -> str:
    if job.due_at is None:
        return ""
    return f"in {duration(max(job.due_at - time.time(), 0.0))}"


def _unreadable(job: Unreadable) -> Text:
    return Text(f"{job.message}; {job.remedy}", style="yellow")


def table(jobs: Sequence[Job | Unreadable], *, title: str | None = None) -> Table:
    """Jobs as a table."""
    grid = Table(title=title, title_justify="left", expand=False, header_style="bold")
    for column in ("id", "workflow", "state", "word", "progress", "polls", "age", "next look", "remark"):
        grid.add_column(column, justify="right" if column in ("polls", "age") else "left", overflow="fold")
    for job in jobs:
        if isinstance(job, Unreadable):
            age = duration(max(time.time() - job.created_at, 0.0))
            grid.add_row(Text(job.id), job.provider, "unreadable", "", "", "", age, "", _unreadable(job))
            continue
        end = job.updated_at if job.finished else time.time()
        grid.add_row(
            Text(job.id),  # what others write is no markup
            job.workflow,
            state(job),
            Text(job.word or ""),
            _progress(job),
            str(job.polls),
            duration(max(end - job.created_at, 0.0)),
            _next(job),
            Text(remark(job)),
        )
    return grid


def brief(jobs: Sequence[Job | Unreadable], now: float, *, title: str) -> Table:
    """Jobs as a table with one line each, however narrow the terminal.

    Args:
        jobs: the jobs.
        now: the time from which their age counts, seconds since the epoch.
        title: of the table.
    """
    grid = Table(title=title, title_justify="left", expand=True, header_style="bold")
    for column in ("id", "workflow", "state", "word"):
        grid.add_column(column, no_wrap=True, overflow="ellipsis", max_width=24)
    grid.add_column("age", no_wrap=True, justify="right")
    grid.add_column("remark", no_wrap=True, overflow="ellipsis", ratio=1)
    for job in jobs:
        if isinstance(job, Unreadable):
            age = duration(max(now - job.created_at, 0.0))
            grid.add_row(Text(job.id), job.provider, "unreadable", "", age, _unreadable(job))
            continue
        end = job.updated_at if job.finished else now
        percent = f"{job.progress} %" if job.progress is not None and not job.finished else ""
        says = Text(" ".join(filter(None, (job.word, percent))))
        age = duration(max(end - job.created_at, 0.0))
        grid.add_row(Text(job.id), job.workflow, state(job), says, age, Text(remark(job)))
    return grid


def line(job: Job | Unreadable) -> str:
    """A job as one line of tab-separated text."""
    if isinstance(job, Unreadable):
        return "\t".join([job.id, job.provider, "unreadable", "", "", f"{job.message}; {job.remedy}"])
    return "\t".join([job.id, job.workflow, job.state.value, job.word or "", str(job.polls), remark(job)])


def many(jobs: Sequence[Job | Unreadable], *, as_json: bool) -> None:
    """Print jobs: a table on a terminal, a line each in a pipe, a JSON line each for machines."""
    if as_json:
        machine(jobs)
    elif console.is_terminal:
        console.print(table(jobs))
    else:
        for job in jobs:
            click.echo(line(job))


def machine(jobs: Iterable[Job | Unreadable]) -> None:
    """One JSON object a line."""
    for job in jobs:
        click.echo(shapes.row(job).text())


def one(job: Job, *, as_json: bool) -> None:
    """Print one job with all that callers may see of it."""
    if as_json:
        machine([job])
        return
    if not console.is_terminal:
        click.echo(line(job))
        return
    grid = Table.grid(padding=(0, 2))
    for name, value in job.outcome().items():
        if name in ("state", "artifacts", "error", "tags", "result") or value == "":
            continue
        if isinstance(value, list):
            value = ", ".join(value)
        if name.endswith("_at"):
            value = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        grid.add_row(Text(name, style="bold"), Text(str(value)))
    grid.add_row(Text("state", style="bold"), state(job))
    for name, value in {**job.tags, **(job.result or {})}.items():
        grid.add_row(Text(name, style="dim"), Text(_short(value)))
    for artifact in job.artifacts:
        stored = f"{artifact.uri or 'not stored yet'}  {artifact.stored_size or '?'} bytes  {artifact.verification}"
        grid.add_row(Text(artifact.name, style="dim"), Text(stored))
    if job.failure:
        grid.add_row(Text("error", style="red"), Text(job.failure.message))
        if job.failure.remedy:
            grid.add_row(Text("remedy", style="yellow"), Text(job.failure.remedy))
    console.print(grid)
