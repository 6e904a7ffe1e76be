"""`settle submit --input FILE.jsonl|FILE.csv`: many jobs from one file, and the same file again makes none twice.

The file is read twice: first every line is checked, then, if all are good, jobs are made. Ids come from the content,
so a run that was cut short is simply repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
from celery import Celery
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError

from config.runtime import Runtime
from config.settings import callers_trace
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance
from jobs.record import Job, Unreadable, check_job_id, digest_of
from jobs.states import JobState
from providers.trigger import Options, problems
from tasks.announce import Announcer
from tasks.intake import new_job, validate
from workflows.command import progress, shapes
from workflows.command.bulk_lines import Line, columns_of, read
from workflows.command.bulk_sheet import Report, Sheet
from workflows.command.exits import OF_STATE, Exit

#: Errors that are shown; the report has all.
_SHOWN = 20
#: Jobs that are looked at in one go while waiting, and the seconds between two looks.
_WINDOW, _LOOK = 200, 0.2
#: So many jobs, or lines, are sent in one go.
_JOBS, _LINES = 100, 10_000

_FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}

_OPTIONS = (
    click.option("--format", "form", type=click.Choice(["json", "jsonl", "csv"]), help="Instead of by suffix."),
    click.option("--batch", type=click.IntRange(1, 10_000), help="Rows in one job, where rows are records [100]."),
    click.option("--id-prefix", metavar="TEXT", help="In front of the ids that are made from the content."),
    click.option("--skip-bad", is_flag=True, help="Send the good lines though others are bad."),
    click.option("--duplicates", type=click.Choice(["error", "skip"]), help="What equal lines are [error]."),
    click.option(
        "--report", type=click.Path(dir_okay=False, path_type=Path), help="Where each line stands; CSV by its suffix."
    ),
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
        self._ready: list[tuple[Job, list[int]]] = []

    def _lines(self) -> Iterator[Line]:
        return read(self._bulk.path, self._bulk.form, self._columns)

    def check(self, sheet: Sheet, tell: Callable[[int], None] = lambda line: None) -> None:
        """Read the file and note of each line whether it is good; tell where it is."""
        for line in self._lines():
            tell(line.number)
            error = line.error or self._problem(line.body or {})
            if error:
                sheet.add(line.number, None, "invalid", error)
                continue
            digest = self._digest(line.body or {})
            earlier = sheet.first(digest, line.number)
            if earlier is None:
                sheet.add(line.number, digest, "good")
            elif self._bulk.skip_duplicates:
                sheet.add(line.number, digest, "duplicate", f"equal to line {earlier}")
            else:
                sheet.add(
                    line.number, digest, "invalid", f"equal to line {earlier}; remove one, or use --duplicates=skip"
                )

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

    def send(self, sheet: Sheet, tell: Callable[[int], None] = lambda line: None) -> None:
        """Read the file again and make jobs of its good lines; tell which are sent.

        Raises:
            InvalidJob: the file is not what it was.
        """
        size = self._bulk.batch if self.rows else 1
        block: list[Line] = []
        # Blocks are counted over all lines, bad ones too: mending one line later changes the job of its block only.
        for place, line in enumerate(self._lines()):
            if place and place % size == 0:
                self._make(block)
                block = []
                if len(self._ready) >= _JOBS or sum(len(lines) for _, lines in self._ready) >= _LINES:
                    self._send(sheet)
                    tell(line.number - 1)
            digest, state = sheet.found(line.number) or (None, None)
            if state is None or (state == "good" and (line.body is None or self._digest(line.body) != digest)):
                raise InvalidJob(f"line {line.number}: the file changed while it was read; run the same command again")
            if state == "good":
                block.append(line)
        self._make(block)
        self._send(sheet)

    def _make(self, block: list[Line]) -> None:
        if not block:
            return
        bodies = [line.body or {} for line in block]
        body = {self.rows: bodies} if self.rows else bodies[0]
        job_id = f"{self._bulk.prefix}{digest_of(self._workflow, self._own(body))[:32]}"
        kwargs = {**self._options, **body}
        job = new_job(self._run, job_id, self._workflow, self._request, (), kwargs, here=False, trace=callers_trace())
        self._ready.append((job, [line.number for line in block]))

    def _send(self, sheet: Sheet) -> None:
        """Record what is ready. A run that ends in between leaves these lines as `unsure`."""
        ready, self._ready = self._ready, []
        numbers = [sheet.leaves(job.id, lines) for job, lines in ready]
        answers = self._run.ledger.accept_all([(job, self._announcer.announcement(job)) for job, _ in ready])
        for (_, lines), number, answer in zip(ready, numbers, answers, strict=True):
            taken = answer is Acceptance.CONFLICT
            error = "its id belongs to another request; use another --id-prefix" if taken else ""
            sheet.answered(number, answer.value, lines, error)
        new = [job for (job, _), answer in zip(ready, answers, strict=True) if answer is Acceptance.CREATED]
        self._announcer.to_flower(new, received=f"settle.{self._workflow}")

    def wait(self, sheet: Sheet, tell: Callable[[int], None] = lambda ended: None) -> None:
        """Wait until every job is finished, and note how; tell how many more are."""
        while True:
            last = looked = ended = 0
            while waiting := sheet.waiting(last, _WINDOW):
                last = waiting[-1][0]
                jobs = self._run.ledger.read([job_id for _, job_id in waiting])
                for (number, _), job in zip(waiting, jobs, strict=True):
                    looked += 1
                    ended += self._look(sheet, number, job)
            if not looked:
                return
            tell(ended)
            if not ended:
                time.sleep(_LOOK)

    @staticmethod
    def _look(sheet: Sheet, number: int, job: Job | Unreadable | None) -> bool:
        if job is None:
            sheet.ended(number, "forgotten", "the job is past its retention", None)
            return True
        if isinstance(job, Unreadable):
            sheet.ended(number, "unreadable", f"{job.message}; {job.remedy}", None)
            return True
        if job.finished:
            sheet.ended(number, job.state.value, job.failure.message if job.failure else None, job.result)
        return job.finished


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
