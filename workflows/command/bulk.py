"""`settle submit --input FILE.jsonl|FILE.csv`: many jobs from one file, and the same file again makes none twice.

The file is read twice: first every line is checked, then, if all are good, jobs are made. Ids come from the content,
so a run that was cut short is simply repeated. `bulk_options` has the options, `bulk_sender` the two readings,
`bulk_lines` the forms of a file, `bulk_sheet` what became of each line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from celery import Celery
from pydantic import BaseModel
from redis.exceptions import RedisError

from config.runtime import Runtime
from jobs.errors import InvalidJob
from jobs.states import JobState
from workflows.command import progress, shapes
from workflows.command.bulk_options import Bulk
from workflows.command.bulk_sender import Sender
from workflows.command.bulk_sheet import Report, Sheet
from workflows.command.exits import OF_STATE, Exit

#: Errors that are shown; the report has all.
_SHOWN = 20


def _length(path: Path) -> int:
    """About how many lines a file has, for its progress."""
    with path.open("rb") as source:
        return sum(piece.count(b"\n") for piece in iter(lambda: source.read(1024 * 1024), b""))


def run_bulk(
    run: Runtime,
    app: Celery,
    workflow: str,
    request: type[BaseModel],
    bulk: Bulk,
    options: dict[str, Any],
    *,
    wait: bool,
    as_json: bool,
) -> Exit:
    """Check a file, make jobs of it, and report. Returns the exit code.

    Args:
        run: the runtime.
        app: the application, in whose name jobs are announced.
        workflow: its name.
        request: the model of its keyword arguments.
        bulk: how the file becomes jobs.
        options: tags and deadline of every job.
        wait: whether to wait for the end of all jobs.
        as_json: whether the summary is one JSON object.

    Raises:
        InvalidJob: the file, or an option, can never work.
    """
    sender = Sender(run, app, workflow, request, bulk, options)
    with Sheet() as sheet:
        report = Report(sheet, bulk.report, rows=sender.rows is not None)
        length = _length(bulk.path)
        with progress.bar("checked", length) as shown:
            sender.check(sheet, shown.reach)
        found = sheet.count("lines", "state")
        if not found:
            raise InvalidJob("input: no line in it; give at least one")
        refused = bool(found.get("invalid")) and not bulk.skip_bad
        report.write()
        if not refused:
            try:
                with progress.bar("sent", length) as shown, _told_how_far(sheet):
                    sender.send(sheet, _both(shown.reach, report))
                if wait:
                    report.write()  # whoever waits may be killed
                    total = sum(sheet.count("jobs", "state").values())
                    # What is known by Ctrl-C is reported.
                    with suppress(KeyboardInterrupt), progress.bar("finished", total) as shown:
                        sender.wait(sheet, _both(shown.step, report))
            finally:
                report.write()
        return _conclude(sheet, refused=refused, wait=wait, as_json=as_json)


def _both(tell: Callable[[int], None], report: Report) -> Callable[[int], None]:
    def told(number: int) -> None:
        tell(number)
        report.go_on()

    return told


@contextmanager
def _told_how_far(sheet: Sheet) -> Iterator[None]:
    """Say how far a run came that ends in the middle, and how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, RedisError):
        lines = sheet.count("lines", "state")
        sent = sum(lines.get(state, 0) for state in ("created", "same", "conflict"))
        again = "the same command again goes on, and repeats nothing"
        click.echo(f"settle: stopped after {sent} of {sum(lines.values())} lines; {again}", err=True)
        raise


def _conclude(sheet: Sheet, *, refused: bool, wait: bool, as_json: bool) -> Exit:
    lines, jobs = sheet.count("lines", "state"), sheet.count("jobs", "state")
    ended = sheet.count("jobs", "outcome") if wait else {}
    outcomes = {state or "unfinished": number for state, number in ended.items()}
    bad = lines.get("invalid", 0)
    for text in sheet.wrong(_SHOWN):
        click.echo(f"settle: {text}", err=True)
    if bad > _SHOWN:
        click.echo(f"settle: and {bad - _SHOWN} more; --report has all", err=True)
    if as_json:
        told = {"outcomes": outcomes} if wait else {}
        duplicates = lines.get("duplicate", 0)
        said = {"lines": sum(lines.values()), "invalid": bad, "duplicates": duplicates, "jobs": jobs, **told}
        click.echo(shapes.Bulk.model_validate(said).text())
    else:
        parts = [f"{number} {state}" for state, number in {**jobs, **outcomes}.items()]
        click.echo(f"{sum(lines.values())} lines, {bad} invalid; jobs: {', '.join(parts) or 'none'}")
    if refused:
        click.echo("settle: nothing was sent; correct the lines, or send the others with --skip-bad", err=True)
        return Exit.USAGE
    if jobs.get("conflict"):
        return Exit.CONFLICT
    codes = [OF_STATE.get(JobState(state), Exit.FAILED) for state in outcomes if state in list(JobState)]
    if not {"unfinished", "forgotten", "unreadable"}.isdisjoint(outcomes):
        codes.append(Exit.NOT_FINISHED)
    return next((code for code in codes if code is not Exit.DONE), Exit.DONE)
