"""`settle beat` and `settle schedules`: workflows on a crontab."""

from __future__ import annotations

import json
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
from workflows.command import show

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


@click.command()
def beat() -> None:
    """Start the workflows of SETTLE_SCHEDULES on their crontabs, until Ctrl-C or SIGTERM. Any number may run."""
    many = len(_configured())
    from celery.apps.beat import Beat

    from config.celery_app import app
    from workflows.schedules.beat import TickScheduler

    click.echo(f"beat with {many} schedules, ready.")
    sys.stdout.flush()
    Beat(app=app, scheduler_cls=TickScheduler, loglevel=settings().log_level, quiet=True).run()  # type: ignore[arg-type]


@click.command()
@click.option("--ticks", "count", default=3, show_default=True, type=click.IntRange(1, 100), help="So many next ticks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def schedules(count: int, as_json: bool) -> None:
    """List the schedules of SETTLE_SCHEDULES, each with its next ticks and its last job."""
    found, run = _configured(), runtime()
    lines = [_line(run, schedule, count) for schedule in found]
    if as_json:
        for line in lines:
            click.echo(json.dumps(line, ensure_ascii=False))
    elif show.console.is_terminal:
        show.console.print(_table(lines))
    else:
        for line in lines:
            last = line.get("last") or {"job_id": "", "state": ""}
            ticks = ", ".join(line["next"])
            cells = (line["name"], line["workflow"], line["crontab"], line["timezone"], ticks, *last.values())
            click.echo("\t".join(cells))


def _line(run: Runtime, schedule: Schedule, count: int) -> dict[str, Any]:
    last = _last(run, schedule)
    ticks: list[str] = []
    at: float | None = run.clock.now()
    while at is not None and len(ticks) < count:
        at = schedule.crontab.next(at)
        if at is not None:
            ticks.append(datetime.fromtimestamp(at, schedule.zone).isoformat(timespec="minutes"))
    return {
        "name": schedule.name,
        "workflow": schedule.workflow,
        "crontab": schedule.text,
        "timezone": schedule.zone.key,
        "next": ticks,
        "last": {"job_id": last.id, "state": last.state.value} if last is not None else None,
    }


def _last(run: Runtime, schedule: Schedule) -> Job | None:
    from workflows.schedules.table import TAG

    found = run.ledger.find(Query((schedule.provider,), tags={TAG: schedule.name}, limit=1)).jobs
    return found[0] if found else None


def _table(lines: Sequence[dict[str, Any]]) -> Table:
    grid = Table(expand=False, header_style="bold")
    for column in ("schedule", "workflow", "crontab", "time zone", "next ticks", "last job", "state"):
        grid.add_column(column, overflow="fold")
    for line in lines:
        last = line["last"] or {"job_id": "", "state": ""}
        ticks = "\n".join(line["next"])
        grid.add_row(line["name"], line["workflow"], line["crontab"], line["timezone"], ticks, *last.values())
    return grid


COMMANDS = {"beat": beat, "schedules": schedules}
