"""The JSON API: submit, read, list, act."""

from __future__ import annotations

import json
import uuid
from typing import Any, NoReturn
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter, ValidationError
from tornado.web import HTTPError

from jobs.errors import InvalidJob
from jobs.events import JobEvent
from jobs.ledger import Acceptance
from jobs.record import Job
from providers.trigger import problems
from tasks.announce import Announcer
from workflows import acts
from workflows.listing import query
from workflows.web import models
from workflows.web.handler import Handler, Refusal, checked, field_of, refusal

#: Who changes something over the API must send this header: a form or a script of another site cannot.
HEADER = "X-Requested-With"

#: A body may be so long, bytes.
LONGEST = 8 * 1024 * 1024
#: A job that is being sent at the moment is waited for so long, seconds.
PATIENCE = 3.0

_SENDER = "settle@web"


class ApiHandler(Handler):
    """The base of handlers for machines."""

    def check_xsrf_cookie(self) -> None:
        """Flower's own look at where a request comes from, and a header that another site cannot send.

        Raises:
            Refusal: 403, it comes from elsewhere.
        """
        super().check_xsrf_cookie()
        if not self.request.headers.get(HEADER):
            raise Refusal(403, "forbidden", f"send the header {HEADER} with any value: it keeps other sites out")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Why, as JSON."""
        error = kwargs.get("exc_info", (None, None))[1]
        known = refusal(error) if isinstance(error, Exception) else None
        known = known or Refusal(status_code, "error", "something went wrong in Settle: see the log of Flower")
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        problem = models.Problem(kind=known.kind, message=known.message, field=field_of(known.message))
        self.answer(models.Refused(error=problem), status_code)

    def answer(self, model: BaseModel, status: int = 200) -> None:
        """Answer with a model; what is empty is left out."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(model.model_dump_json(exclude_none=True))

    def body(self) -> Any:
        """The JSON of the request's body.

        Raises:
            Refusal: 413 or 415.
            InvalidJob: it is not JSON.
        """
        if len(self.request.body) > LONGEST:
            raise Refusal(413, "too_long", f"body: longer than {LONGEST} bytes; send fewer records in one job")
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "not_json", "Content-Type: send application/json")
        try:
            return json.loads(self.request.body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise InvalidJob("body: not JSON; send one JSON object") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


class Jobs(ApiHandler):
    """All jobs."""

    async def get(self) -> None:
        """List jobs."""
        wanted = self.parameters(models.Listing)

        def find() -> models.JobsView:
            found = self.run.ledger.find(
                query(
                    self.run,
                    providers=wanted.provider,
                    states=wanted.state,
                    tags=wanted.tag,
                    **wanted.model_dump(include={"text", "since", "until", "after", "limit"}),
                )
            )
            jobs = [models.JobView.of(self.run, job) for job in found.jobs]
            unreadable = [models.UnreadableView.of(job) for job in found.unreadable] or None
            return models.JobsView(jobs=jobs, next=str(found.next) if found.next else None, unreadable=unreadable)

        self.answer(await self.work(find))

    async def post(self) -> None:
        """Submit a job."""
        sent = checked(models.Submission, self.body())
        job_id = sent.id if sent.id is not None else str(uuid.uuid4())
        run, app, trace = self.run, self.desk.app, self.request.headers.get("traceparent")

        def send() -> tuple[Job, Acceptance]:
            name = acts.workflow_known(sent.workflow)
            same = "the same kwargs"
            return acts.send(run, app, name, job_id, sent.kwargs, sender=_SENDER, same=same, trace=trace)

        job, answer = await self.work(send)
        self.set_header("Location", f"{self.request.path}/{quote(job.id, safe='')}")
        self.answer(models.JobView.of(run, job), 201 if answer is Acceptance.CREATED else 200)


class JobHandler(ApiHandler):
    """One job."""

    async def get(self, job_id: str) -> None:
        """Read a job."""
        self.answer(models.JobView.of(self.run, await self.work(lambda: self.run.ledger.get(job_id))))


class JobEvents(ApiHandler):
    """The history of one job."""

    async def get(self, job_id: str) -> None:
        """Read a job's events."""

        def read() -> models.EventsView:
            provider = self.run.ledger.provider_of(job_id)
            events = self.run.ledger.events(provider, job_id)
            return models.EventsView(events=[JobEvent.of_event(provider, event) for event in events])

        self.answer(await self.work(read))


class JobActs(ApiHandler):
    """What can be done about a job."""

    async def post(self, job_id: str) -> None:
        """Act on a job."""
        wanted = one_of(models.JobAct, self.body())
        self.answer(models.JobView.of(self.run, await self.work(lambda: act(self, job_id, wanted))))


def act(handler: Handler, job_id: str, wanted: models.JobAct) -> Job:
    """Do something about a job, in a thread.

    Raises:
        JobNotFound: there is no such job.
        IllegalMove: it is somewhere where this cannot be done.
    """
    run = handler.run
    decide: acts.Decide
    match wanted:
        case models.Cancel():
            decide = acts.cancelling
        case models.Pause():
            decide = acts.pausing
        case models.Resume():
            decide = acts.resuming(run, wanted.deadline)
        case models.Replay():
            decide = acts.replaying(run)
        case models.Resolve():
            decide = acts.resolving(wanted.remote_id, resubmit=wanted.resubmit)
    announcer = Announcer(handler.desk.app, _SENDER)
    return acts.change(run, announcer, job_id, decide, patience=PATIENCE)


class Providers(ApiHandler):
    """Where all jobs stand."""

    async def get(self) -> None:
        """Read where every provider's jobs stand."""
        found = await self.work(lambda: self.run.ledger.overview(list(self.run.settings.providers())))
        self.answer(models.ProvidersView(providers=[models.ProviderView.of(each) for each in found]))


class ProviderActs(ApiHandler):
    """What can be done about a provider."""

    async def post(self, name: str) -> None:
        """Act on a provider."""
        wanted = one_of(models.ProviderAct, self.body())

        def change() -> models.ProviderView:
            act_on_provider(self, name, wanted)
            return models.ProviderView.of(self.run.ledger.overview([name])[0])

        self.answer(await self.work(change))


def act_on_provider(handler: Handler, name: str, wanted: models.ProviderAct) -> None:
    """Pause or resume a provider, in a thread.

    Raises:
        JobNotFound: there is no such provider.
    """
    if name not in (known := handler.run.settings.providers()):
        raise Refusal(404, "not_found", f"provider: {name[:50]!r} is not one of {', '.join(known)}")
    if isinstance(wanted, models.PauseProvider):
        acts.pause_provider(handler.run, name, wanted.seconds)
    else:
        acts.resume_provider(handler.run, name)


def one_of(kind: Any, body: Any) -> Any:
    """A body that is one of several models, told apart by `act`.

    Raises:
        InvalidJob: it is none of them.
    """
    try:
        return TypeAdapter(kind).validate_python(body)
    except ValidationError as error:
        raise InvalidJob(problems(error)) from None


class NotFound(ApiHandler):
    """Whatever else begins with our addresses."""

    def _refuse(self, *_: str) -> NoReturn:
        raise HTTPError(404)

    get = post = put = patch = delete = head = _refuse
