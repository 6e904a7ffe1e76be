"""`settle beat` and `settle schedules`: workflows on a crontab."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from config.runtime import Runtime, runtime
from config.settings import settings
from jobs.record import Job
from jobs.search import Query
from workflows.command import shapes, show
from workflows.command.exits import Exit
from workflows.command.page import LEDGER, Page

if TYPE_CHECKING:
    from workflows.schedules.table import Schedule


def _configured() -> list[Schedule]:
    """The schedules, with all workflows loaded.

    Raises:
        ConfigurationError: one is wrong, or there is none.
    """
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app
    from workflows.schedules.table import configured

    app.loader.import_default_modules()
    return configured(settings())


_READS = ("SETTLE_SCHEDULES", *LEDGER)


@click.command(
    cls=Page,
    examples=[("SETTLE_SCHEDULES=schedules.toml settle beat", "Start what the file says, when it says")],
    exits=[Exit.SETUP],
    reads=_READS,
)
def beat() -> None:
    """Start the workflows of SETTLE_SCHEDULES on their crontabs, until Ctrl-C or SIGTERM.

    Any number may run: the id of a job follows from its tick, so two of them start one job. docs/schedules.md has the
    form of the file.
    """
    many = len(_configured())
    from celery.apps.beat import Beat

    from config.celery_app import app
    from workflows.schedules.beat import TickScheduler

    click.echo(f"beat with {many} schedules, ready.")
    sys.stdout.flush()
    Beat(app=app, scheduler_cls=TickScheduler, loglevel=settings().log_level, quiet=True).run()  # type: ignore[arg-type]


@click.command(
    cls=Page,
    examples=[("settle schedules --ticks 5", "When each workflow will start, and how the last one went")],
    exits=[Exit.SETUP],
    reads=_READS,
)
@click.option(
    "--ticks", "count", default=3, show_default=True, type=click.IntRange(1, 100), metavar="N", help="Next ticks."
)
@show.as_json
def schedules(count: int, as_json: bool) -> None:
    """List the schedules of SETTLE_SCHEDULES, each with its next ticks and its last job.

    The whole file is looked at: what is wrong in it is told with the name of the schedule and the field.
    """
    found, run = _configured(), runtime()
    lines = [_line(run, schedule, count) for schedule in found]
    if as_json:
        for line in lines:
            click.echo(line.text())
    elif show.console.is_terminal:
        show.console.print(_table(lines))
    else:
        for line in lines:
            click.echo("\t".join(_cells(line, ", ")))


def _cells(line: shapes.Schedule, between: str) -> list[str]:
    last = [line.last.job_id, line.last.state.value] if line.last is not None else ["", ""]
    return [line.name, line.workflow, line.crontab, line.timezone, between.join(line.next), *last]


def _line(run: Runtime, schedule: Schedule, count: int) -> shapes.Schedule:
    last = _last(run, schedule)
    ticks: list[str] = []
    at: float | None = run.clock.now()
    while at is not None and len(ticks) < count:
        at = schedule.crontab.next(at)
        if at is not None:
            ticks.append(datetime.fromtimestamp(at, schedule.zone).isoformat(timespec="minutes"))
    told: dict[str, Any] = {} if last is None else {"last": shapes.Tick(job_id=last.id, state=last.state)}
    crontab, zone = schedule.text, schedule.zone.key
    return shapes.Schedule(
        name=schedule.name, workflow=schedule.workflow, crontab=crontab, timezone=zone, next=ticks, **told
    )


def _last(run: Runtime, schedule: Schedule) -> Job | None:
    from workflows.schedules.table import TAG

    found = run.ledger.find(Query((schedule.provider,), tags={TAG: schedule.name}, limit=1)).jobs
    return found[0] if found else None


def _table(lines: Sequence[shapes.Schedule]) -> Table:
    grid = Table(expand=False, header_style="bold")
    for column in ("schedule", "workflow", "crontab", "time zone", "next ticks", "last job", "state"):
        grid.add_column(column, overflow="fold")
    for line in lines:
        grid.add_row(*_cells(line, "\n"))
    return grid


COMMANDS = {"beat": beat, "schedules": schedules}
