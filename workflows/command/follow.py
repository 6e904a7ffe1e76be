"""`settle wait` and `settle watch`: follow jobs to their end, or all jobs for as long as one looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import click
from rich.live import Live

from config.runtime import runtime
from jobs.errors import JobNotFound
from jobs.record import Job, Unreadable
from jobs.states import JobState
from workflows.command import progress, shapes, show
from workflows.command.exits import OF_ENDS, OF_STATE, Exit
from workflows.command.kinds import JobId, Provider, Seconds
from workflows.command.page import LEDGER, Page
from workflows.listing import provider_known

#: Between two looks at the ledger, seconds.
_LOOK = 0.2
#: In which a job that was just sent may not be recorded yet, seconds.
_GRACE = 10.0


def wait_for(
    job_ids: Sequence[str],
    timeout: float | None,
    *,
    grace: float = _GRACE,
    tell: Callable[[Sequence[Job | Unreadable | None]], None] | None = None,
) -> list[Job | Unreadable | None]:
    """Wait until all jobs are finished.

    Args:
        job_ids: the jobs.
        timeout: seconds to wait at most; none for as long as it takes.
        grace: seconds in which a job that was just sent may not be recorded yet.
        tell: told where the jobs are, at each look.

    Returns:
        The jobs as they are then, in this order; none for a job that nobody recorded.
    """
    ledger, started = runtime().ledger, time.monotonic()
    seen: dict[str, Job | Unreadable | None] = dict.fromkeys(job_ids)
    while True:
        # A finished job stays as it is: it is not read again.
        open_ids = [job_id for job_id, job in seen.items() if job is None or not job.finished]
        seen |= dict(zip(open_ids, ledger.read(open_ids), strict=True))
        found = [seen[job_id] for job_id in job_ids]
        if tell is not None:
            tell(found)
        waited = time.monotonic() - started
        unfinished = [job for job in found if job is not None and not job.finished]
        missing = None in found and waited < grace
        if (not unfinished and not missing) or (timeout is not None and waited >= timeout):
            return found
        time.sleep(_LOOK)


def wait_with_bars(
    job_ids: Sequence[str], timeout: float | None, *, grace: float = _GRACE
) -> list[Job | Unreadable | None]:
    """`wait_for`, with progress on a terminal."""
    with progress.job_bars(len(job_ids)) as bars:
        return wait_for(job_ids, timeout, grace=grace, tell=bars.show)


def chain_of(job_id: str, timeout: float | None) -> list[Job | Unreadable | None]:
    """Wait until a job and all that follows it are finished, or one of them did not go on.

    Args:
        job_id: the first job.
        timeout: seconds to wait at most for the whole chain; none for as long as it takes.
    """
    end = None if timeout is None else time.monotonic() + timeout
    seen: list[Job | Unreadable | None] = []
    following: str | None = job_id
    while following:
        left = None if end is None else max(end - time.monotonic(), 0.0)
        job = wait_with_bars([following], left, grace=0.0)[0]
        seen.append(job)
        if isinstance(job, Unreadable):  # nobody here knows what follows it
            raise job.error()
        following = job.next if job is not None and job.finished else None
    return seen


@click.command(
    cls=Page,
    examples=[
        ("settle wait order-4711 order-4712", "Until both are finished"),
        ("settle wait --chain order-4711 --timeout 10m", "A job and all that follows it, ten minutes at most"),
        ("settle list --tag batch=9 --limit 1000 | cut -f1 | xargs settle wait --json", "All jobs with a tag"),
    ],
    exits=[Exit.FAILED, Exit.NOT_FOUND, *OF_ENDS[1:], Exit.SETUP, Exit.INTERRUPTED],
    reads=LEDGER,
)
@click.argument("job_ids", nargs=-1, required=True, metavar="ID…", type=JobId())
@click.option("--chain", is_flag=True, help="Also for all jobs that follow them.")
@click.option("--timeout", type=Seconds(zero=True), help="To wait at most: seconds, or as in 10m, 2h.")
@show.as_json
def wait(job_ids: tuple[str, ...], chain: bool, timeout: float | None, as_json: bool) -> None:
    """Wait until jobs are finished; exit by the first that did not succeed, or whose chain did not go on.

    Progress is shown on a terminal, on standard error. At the end the jobs are printed as `settle list` prints them.
    """
    if chain:
        seen = [job for job_id in job_ids for job in chain_of(job_id, timeout)]
    else:
        seen = wait_with_bars(job_ids, timeout, grace=0.0)
    jobs = [job for job in seen if job is not None]
    if len(jobs) < len(seen):
        missing = ", ".join(sorted(set(job_ids) - {job.id for job in jobs})) or "one that followed"
        raise JobNotFound(f"no job {missing!r} in the ledger: never triggered, or past its retention")
    show.many(jobs, as_json=as_json)
    codes = [OF_STATE[JobState(job.state)] if job.finished else Exit.NOT_FINISHED for job in jobs]
    if chain and any(isinstance(job, Job) and job.broken for job in jobs):
        codes.append(Exit.FAILED)
    sys.exit(next((code for code in codes if code is not Exit.DONE), Exit.DONE))


@click.command(
    cls=Page,
    examples=[
        ("settle watch", "Everything, until q or Ctrl-C"),
        ("settle watch --provider myipr --limit 40", "One provider, and more of its latest jobs"),
        ("settle watch order-4711 order-4712", "Two jobs, until both are finished"),
        ("settle watch --json >> changes.jsonl", "Each change as a line of JSON"),
    ],
    exits=[Exit.NOT_FOUND, Exit.SETUP],
    reads=[*LEDGER, "SETTLE_BROKER_URL"],
)
@click.argument("job_ids", nargs=-1, metavar="[ID…]", type=JobId())
@click.option("--provider", "providers", multiple=True, type=Provider(), help="Of this provider; may be given again.")
@click.option(
    "--limit", type=click.IntRange(0, 1000), default=20, show_default=True, help="Of the latest jobs so many."
)
@show.as_json
def watch(job_ids: tuple[str, ...], providers: tuple[str, ...], limit: int, as_json: bool) -> None:
    """A live dashboard of all jobs; with ids a live table of these, until they are finished.

    The dashboard has, for each provider: its gate (with the time until a closed one opens), jobs by state, how many
    finished per second (of the last 10 s) and per minute, and how late it is: the time for which the job that is due
    for longest waits. Then the workers that answer, and the latest jobs. One look costs four round trips to Redis,
    however many jobs there are. q or Ctrl-C ends it.

    In a pipe: a line for each change of one of these jobs, and, beginning with #, of the figures of a provider. With
    --json likewise, each a JSON object. A job that is not among the latest --limit is not told: watch it by its id.
    """
    from workflows.command import dashboard

    names = [provider_known(runtime(), name) for name in providers] or list(runtime().settings.providers())
    live = show.console.is_terminal and not as_json
    with suppress(KeyboardInterrupt):
        if job_ids:
            _table(job_ids) if live else _changes(job_ids, as_json=as_json)
        elif live:
            dashboard.live(runtime(), names, limit)
        else:
            dashboard.changes(runtime(), names, limit, as_json=as_json)


def _looks(job_ids: Sequence[str]) -> Iterator[list[Job | Unreadable]]:
    """The jobs, look by look, until all are finished.

    Raises:
        JobNotFound: one is still not recorded when a job that was just sent would be.
    """
    started = time.monotonic()
    while True:
        seen = dict(zip(job_ids, runtime().ledger.read(job_ids), strict=True))
        jobs = [job for job in seen.values() if job is not None]
        yield jobs
        missing = [job_id for job_id, job in seen.items() if job is None]
        if missing and time.monotonic() - started > _GRACE:
            raise JobNotFound(f"no job {missing[0]!r} in the ledger: never triggered, or past its retention")
        if not missing and all(job.finished for job in jobs):
            return
        time.sleep(_LOOK)


def _table(job_ids: Sequence[str]) -> None:
    with Live(console=show.console, auto_refresh=False) as live:
        for jobs in _looks(job_ids):
            live.update(show.table(jobs), refresh=True)


class Told:
    """Prints jobs of which there is news."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, tuple[object, ...]] = {}

    def tell(self, job: Job | Unreadable) -> None:
        """Print a job, unless it was printed as it is. One poll more is no news."""
        news: tuple[object, ...] = (job.state,)
        if isinstance(job, Job):
            news = (job.state, job.word, job.progress, job.message, job.failure, job.wish)
        if self._shown.get(job.id) != news:
            self._shown[job.id] = news
            click.echo(shapes.row(job).text() if self._as_json else show.line(job))


def _changes(job_ids: Sequence[str], *, as_json: bool) -> None:
    told = Told(as_json=as_json)
    for jobs in _looks(job_ids):
        for job in jobs:
            told.tell(job)


COMMANDS = {"wait": wait, "watch": watch}
