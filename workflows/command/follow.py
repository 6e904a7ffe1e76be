"""`settle wait` and `settle watch`: follow jobs to their end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from config.runtime import runtime
from jobs.errors import JobNotFound
from jobs.record import Job
from jobs.states import TERMINAL, JobState
from workflows.command import OF_STATE, Exit, show

#: Between two looks at the ledger, seconds.
_LOOK = 0.2


def wait_for(job_ids: Sequence[str], timeout: float | None, *, grace: float = 10.0) -> list[Job | None]:
    """Wait until all jobs are finished.

    Args:
        job_ids: the jobs.
        timeout: seconds to wait at most; none for as long as it takes.
        grace: seconds in which a job that was just sent may not be recorded yet.

    Returns:
        The jobs as they are then, in this order; none for a job that nobody recorded.
    """
    ledger, started = runtime().ledger, time.monotonic()
    while True:
        seen: list[Job | None] = []
        for job_id in job_ids:
            try:
                seen.append(ledger.get(job_id))
            except JobNotFound:
                seen.append(None)
        waited = time.monotonic() - started
        unfinished = [job for job in seen if job is not None and not job.finished]
        missing = None in seen and waited < grace
        if (not unfinished and not missing) or (timeout is not None and waited >= timeout):
            return seen
        time.sleep(_LOOK)


def chain_of(job_id: str, timeout: float | None) -> list[Job | None]:
    """Wait until a job and all that follows it are finished, or one of them did not go on.

    Args:
        job_id: the first job.
        timeout: seconds to wait at most for the whole chain; none for as long as it takes.
    """
    end = None if timeout is None else time.monotonic() + timeout
    seen: list[Job | None] = []
    following: str | None = job_id
    while following:
        left = None if end is None else max(end - time.monotonic(), 0.0)
        job = wait_for([following], left, grace=0.0)[0]
        seen.append(job)
        following = job.next if job is not None and job.finished else None
    return seen


@click.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="ID…")
@click.option("--chain", is_flag=True, help="Also for all jobs that follow them.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def wait(job_ids: tuple[str, ...], chain: bool, timeout: float | None, as_json: bool) -> None:
    """Wait until jobs are finished; exit by the first that did not succeed, or whose chain did not go on."""
    if chain:
        seen = [job for job_id in job_ids for job in chain_of(job_id, timeout)]
    else:
        seen = wait_for(job_ids, timeout, grace=0.0)
    jobs = [job for job in seen if job is not None]
    if len(jobs) < len(seen):
        missing = ", ".join(sorted(set(job_ids) - {job.id for job in jobs})) or "one that followed"
        raise JobNotFound(f"no job {missing!r} in the ledger: never triggered, or past its retention")
    show.many(jobs, as_json=as_json)
    codes = [OF_STATE.get(job.state, Exit.NOT_FINISHED) for job in jobs]
    if chain and any(job.broken for job in jobs):
        codes.append(Exit.FAILED)
    sys.exit(next((code for code in codes if code is not Exit.DONE), Exit.DONE))


def latest(limit: int) -> list[Job]:
    """The latest jobs of all providers, unfinished ones first."""
    run = runtime()
    jobs = [job for name in run.settings.providers() for job in run.ledger.jobs(name, limit=limit)]
    jobs.sort(key=lambda job: (job.finished, -job.created_at))
    return jobs[:limit]


def _view(job_ids: Sequence[str], limit: int) -> tuple[list[Job], Group]:
    run = runtime()
    jobs = []
    for job_id in job_ids:
        with suppress(JobNotFound):
            jobs.append(run.ledger.get(job_id))
    if not job_ids:
        jobs = latest(limit)
    lines = []
    for name in run.settings.providers():
        counts = run.ledger.counts(name)
        if counts:
            text = Text(f"{name:<14}", style="bold")
            for member in JobState:
                if number := counts.get(member):
                    text.append(f" {member.value} {number} ", style="dim" if member in TERMINAL else "")
            if paused := run.ledger.paused_until(name):
                text.append(f" paused for {show.duration(paused - time.time())}", style="yellow")
            lines.append(text)
    return jobs, Group(*lines, show.table(jobs))


@click.command()
@click.argument("job_ids", nargs=-1, metavar="[ID…]")
@click.option("--limit", default=20, show_default=True, help="Jobs in the table.")
def watch(job_ids: tuple[str, ...], limit: int) -> None:
    """A live table of jobs; with ids it ends when they are finished, else with Ctrl-C. In a pipe: a line a change."""
    with suppress(KeyboardInterrupt):
        if show.console.is_terminal:
            _live(job_ids, limit)
        else:
            _lines(job_ids, limit)


def _done(job_ids: Sequence[str], jobs: Sequence[Job]) -> bool:
    return bool(job_ids) and len(jobs) == len(job_ids) and all(job.finished for job in jobs)


def _live(job_ids: Sequence[str], limit: int) -> None:
    with Live(console=show.console, auto_refresh=False) as live:
        while True:
            jobs, view = _view(job_ids, limit)
            live.update(view, refresh=True)
            if _done(job_ids, jobs):
                return
            time.sleep(_LOOK)


def _lines(job_ids: Sequence[str], limit: int) -> None:
    shown: dict[str, str] = {}
    while True:
        jobs, _ = _view(job_ids, limit)
        for job in jobs:
            text = show.line(job)
            if shown.get(job.id) != text:
                shown[job.id] = text
                click.echo(text)
        if _done(job_ids, jobs):
            return
        time.sleep(_LOOK)


COMMANDS = {"wait": wait, "watch": watch}
