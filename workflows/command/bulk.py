"""`settle submit --input FILE.jsonl|FILE.csv`: many jobs from one file, and the same file again makes none twice.

The file is read twice: first every line is checked, then, if all are good, jobs are made. Ids come from the content,
so a run that was cut short is simply repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
from celery import Celery
from pydantic import BaseModel, ValidationError

from config.runtime import Runtime
from config.settings import callers_trace
from jobs.errors import InvalidJob, JobNotFound
from jobs.ledger import Acceptance
from jobs.record import Job, check_job_id, digest_of
from jobs.states import JobState
from providers.trigger import Options, problems
from tasks.announce import Announcer
from tasks.intake import new_job, validate
from workflows.command import OF_STATE, Exit
from workflows.command.bulk_lines import Line, columns_of, read
from workflows.command.bulk_sheet import Sheet

#: Errors that are shown; the report has all.
_SHOWN = 20
#: Jobs that are looked at in one go while waiting, and the seconds between two looks.
_WINDOW, _LOOK = 200, 0.2
#: Flower is told of so many new jobs in one go.
_TOLD = 100

_FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}

_OPTIONS = (
    click.option("--format", "form", type=click.Choice(["json", "jsonl", "csv"]), help="Instead of by suffix."),
    click.option("--batch", type=click.IntRange(1, 10_000), help="Rows in one job, where rows are records [100]."),
    click.option("--id-prefix", help="In front of the ids that are made from the content."),
    click.option("--skip-bad", is_flag=True, help="Send the good lines though others are bad."),
    click.option("--duplicates", type=click.Choice(["error", "skip"]), help="What equal lines are [error]."),
    click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="What became of each line."),
)


def bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `settle submit` for a file of many lines."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Bulk:
    """How a file becomes jobs.

    Args:
        path: the file, read twice.
        form: `jsonl` or `csv`.
        batch: rows in one job, where a workflow takes rows.
        prefix: in front of every id.
        skip_bad: send good lines though others are bad.
        skip_duplicates: leave out a line that is equal to an earlier one, instead of calling it bad.
        report: where the fate of each line is written.
    """

    path: Path
    form: str
    batch: int
    prefix: str
    skip_bad: bool
    skip_duplicates: bool
    report: Path | None


def wanted(name: str, job_id: str | None, given: dict[str, Any]) -> Bulk | None:
    """What the options ask for; none for a file with one JSON object.

    Args:
        name: of the input file, or what stands for standard input.
        job_id: of the option `--id`.
        given: the options of `bulk_options`.

    Raises:
        InvalidJob: they do not go together.
    """
    form = given.pop("form") or _FORMS.get(Path(name).suffix.lower(), "json")
    used = [f"--{option.replace('_', '-')}" for option, value in given.items() if value not in (None, False)]
    if form == "json":
        if used:
            raise InvalidJob(f"{used[0]}: is for many lines; give a .jsonl or .csv file, or --format")
        return None
    if job_id is not None:
        raise InvalidJob("id: many jobs cannot have one id; theirs are made from the content, see --id-prefix")
    if not Path(name).is_file():
        raise InvalidJob("input: many lines are read twice, so give a file, not a pipe")
    prefix = given["id_prefix"] or ""
    check_job_id(f"{prefix}{'0' * 32}")
    skip_duplicates = given["duplicates"] == "skip"
    return Bulk(Path(name), form, given["batch"] or 100, prefix, given["skip_bad"], skip_duplicates, given["report"])


class Sender:
    """Takes one file through its two readings.

    Args:
        run: the runtime.
        app: the application, in whose name jobs are announced.
        workflow: its name.
        request: the model of its keyword arguments.
        bulk: how the file becomes jobs.
        options: tags and deadline of every job.
    """

    def __init__(
        self, run: Runtime, app: Celery, workflow: str, request: type[BaseModel], bulk: Bulk, options: dict[str, Any]
    ) -> None:
        self._run, self._workflow, self._request, self._bulk, self._options = run, workflow, request, bulk, options
        try:
            Options.model_validate(options)
        except ValidationError as error:
            raise InvalidJob(problems(error, Options)) from None
        self._announcer = Announcer(app, "settle@command")
        self.rows: str | None = getattr(request, "rows", None)  #: the field of which each line is one element
        self._model: type[BaseModel] = get_args(request.model_fields[self.rows].annotation)[0] if self.rows else request
        self._columns = columns_of(self._model)
        if not self.rows:
            self._columns |= {"deadline": True, "tags": True}
        self._new: list[Job] = []

    def _lines(self) -> Iterator[Line]:
        return read(self._bulk.path, self._bulk.form, self._columns)

    def check(self, sheet: Sheet) -> None:
        """Read the file and note of each line whether it is good."""
        for line in self._lines():
            error = line.error or self._problem(line.body or {})
            if error:
                sheet.add(line.number, None, "bad", error)
                continue
            digest = self._digest(line.body or {})
            earlier = sheet.first(digest, line.number)
            if earlier is None:
                sheet.add(line.number, digest, "good")
            elif self._bulk.skip_duplicates:
                sheet.add(line.number, digest, "duplicate", f"equal to line {earlier}")
            else:
                sheet.add(line.number, digest, "bad", f"equal to line {earlier}; remove one, or use --duplicates=skip")

    def _problem(self, body: dict[str, Any]) -> str:
        try:
            if self.rows:
                self._model.model_validate(body)
            else:
                validate(self._request, (), {**self._options, **body})
        except ValidationError as error:
            return problems(error, self._model)
        except InvalidJob as error:
            return str(error)
        return ""

    def _digest(self, body: dict[str, Any]) -> bytes:
        return bytes.fromhex(digest_of(self._workflow, self._own(body)))

    def _own(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body without the options that every workflow takes: they are no part of what a job is."""
        return body if self.rows else {name: value for name, value in body.items() if name not in Options.model_fields}

    def send(self, sheet: Sheet) -> None:
        """Read the file again and make jobs of its good lines.

        Raises:
            InvalidJob: the file is not what it was.
        """
        size = self._bulk.batch if self.rows else 1
        block: list[Line] = []
        # Blocks are counted over all lines, bad ones too: mending one line later changes the job of its block only.
        for place, line in enumerate(self._lines()):
            if place and place % size == 0:
                self._make(sheet, block)
                block = []
            digest, state = sheet.found(line.number) or (None, None)
            if state is None or (state == "good" and (line.body is None or self._digest(line.body) != digest)):
                raise InvalidJob(f"line {line.number}: the file changed while it was read; run the same command again")
            if state == "good":
                block.append(line)
        self._make(sheet, block)
        self._tell()

    def _make(self, sheet: Sheet, block: list[Line]) -> None:
        if not block:
            return
        bodies = [line.body or {} for line in block]
        body = {self.rows: bodies} if self.rows else bodies[0]
        job_id = f"{self._bulk.prefix}{digest_of(self._workflow, self._own(body))[:32]}"
        kwargs = {**self._options, **body}
        job = new_job(self._run, job_id, self._workflow, self._request, (), kwargs, here=False, trace=callers_trace())
        answer = self._run.ledger.accept(job, self._announcer.announcement(job))
        state = {Acceptance.CREATED: "created", Acceptance.SAME: "known", Acceptance.CONFLICT: "conflict"}[answer]
        error = "its id belongs to another request; use another --id-prefix" if state == "conflict" else ""
        sheet.sent(job_id, state, [line.number for line in block], error)
        if answer is Acceptance.CREATED:
            self._new.append(job)
            if len(self._new) >= _TOLD:
                self._tell()

    def _tell(self) -> None:
        self._announcer.to_flower(self._new, received=f"settle.{self._workflow}")
        self._new.clear()

    def wait(self, sheet: Sheet) -> None:
        """Wait until every job is finished, and note how."""
        while True:
            last = looked = ended = 0
            while waiting := sheet.waiting(last, _WINDOW):
                for last, job_id in waiting:
                    looked += 1
                    ended += self._look(sheet, last, job_id)
            if not looked:
                return
            if not ended:
                time.sleep(_LOOK)

    def _look(self, sheet: Sheet, number: int, job_id: str) -> bool:
        try:
            job = self._run.ledger.get(job_id)
        except JobNotFound:
            sheet.ended(number, "forgotten", "the job is past its retention", None)
            return True
        if job.finished:
            sheet.ended(number, job.state.value, job.failure.message if job.failure else None, job.result)
        return job.finished


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
        if bulk.report:  # better now than after everything is sent
            sheet.write_report(bulk.report, rows=False)
        try:
            sender.check(sheet)
            found = sheet.count("lines", "state")
            if not found:
                raise InvalidJob("input: no line in it; give at least one")
            refused = bool(found.get("bad")) and not bulk.skip_bad
            if not refused:
                sender.send(sheet)
                if wait:
                    if bulk.report:  # whoever waits may be killed
                        sheet.write_report(bulk.report, rows=sender.rows is not None)
                    with suppress(KeyboardInterrupt):  # what is known by then is reported
                        sender.wait(sheet)
        finally:
            if bulk.report:
                sheet.write_report(bulk.report, rows=sender.rows is not None)
        return _conclude(sheet, refused=refused, wait=wait, as_json=as_json)


def _conclude(sheet: Sheet, *, refused: bool, wait: bool, as_json: bool) -> Exit:
    lines, jobs = sheet.count("lines", "state"), sheet.count("jobs", "state")
    ended = sheet.count("jobs", "outcome") if wait else {}
    outcomes = {state or "unfinished": number for state, number in ended.items()}
    bad = lines.get("bad", 0)
    for text in sheet.wrong(_SHOWN):
        click.echo(f"settle: {text}", err=True)
    if bad > _SHOWN:
        click.echo(f"settle: and {bad - _SHOWN} more; --report has all", err=True)
    if as_json:
        told = {"lines": sum(lines.values()), "bad": bad, "duplicates": lines.get("duplicate", 0), "jobs": jobs}
        click.echo(json.dumps({**told, **({"outcomes": outcomes} if wait else {})}))
    else:
        parts = [f"{number} {state}" for state, number in {**jobs, **outcomes}.items()]
        click.echo(f"{sum(lines.values())} lines, {bad} bad; jobs: {', '.join(parts) or 'none'}")
    if refused:
        click.echo("settle: nothing was sent; correct the lines, or send the others with --skip-bad", err=True)
        return Exit.USAGE
    if jobs.get("conflict"):
        return Exit.CONFLICT
    codes = [OF_STATE.get(JobState(state), Exit.FAILED) for state in outcomes if state in list(JobState)]
    if "unfinished" in outcomes or "forgotten" in outcomes:
        codes.append(Exit.NOT_FINISHED)
    return next((code for code in codes if code is not Exit.DONE), Exit.DONE)
