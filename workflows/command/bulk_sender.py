"""The two readings of a file of many lines: every line is checked, then its good lines become jobs; and their ends.

Ids come from the content, so the same file again makes none twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

from celery import Celery
from pydantic import BaseModel, ValidationError

from config.runtime import Runtime
from config.settings import callers_trace
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance
from jobs.record import Job, Unreadable, digest_of
from providers.trigger import Options, problems
from tasks.announce import Announcer
from tasks.intake import new_job, validate
from workflows.command.bulk_lines import Line, columns_of, read
from workflows.command.bulk_options import Bulk
from workflows.command.bulk_sheet import Sheet

#: Jobs that are looked at in one go while waiting, and the seconds between two looks.
_WINDOW, _LOOK = 200, 0.2
#: So many jobs, or lines, are sent in one go.
_JOBS, _LINES = 100, 10_000


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
                allowed = self._run.settings.link_queues
                validate(self._request, (), {**self._options, **body}, allowed=allowed)
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
