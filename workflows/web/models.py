"""What the JSON API takes and gives, as types: requests are checked by them, and the description is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.runtime import Runtime
from jobs.events import JobEvent
from jobs.record import Job, Unreadable
from jobs.search import Gate, Overview
from jobs.states import JobState, Wish
from workflows import acts
from workflows.advice import advice

ActName = Literal["cancel", "pause", "resume", "replay", "resolve"]
_DEADLINE = 10 * 365 * 86400


class Taken(BaseModel):
    """What a caller sends: these fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Given(BaseModel):
    """What a caller gets: at least these fields; one that is empty is left out."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Listing(Taken):
    """Which jobs are wanted; all of it must be true of a job."""

    provider: list[str] = Field([], description="of one of these; may be given again")
    state: list[str] = Field(
        [], description="in one of these states, or `unfinished` or `finished`; may be given again"
    )
    tag: list[str] = Field([], description="NAME=VALUE: with this tag; may be given again")
    text: str = Field("", max_length=200, description="with this in the id")
    since: str = Field("", max_length=50, description="created then or later: an age (30m, 2h, 7d) or ISO 8601")
    until: str = Field("", max_length=50, description="created before: an age or ISO 8601")
    after: str = Field("", max_length=220, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=1000, description="jobs of one page")


class Following(Taken):
    """Which events are wanted."""

    provider: list[str] = Field([], description="of jobs of one of these; may be given again")
    job: list[str] = Field([], description="of one of these jobs; may be given again")


class Nothing(Taken):
    """No parameters."""


class Submission(Taken):
    """A job to be sent, as a Celery message would trigger it."""

    workflow: str = Field(description="as in `myipr.certify`")
    id: str | None = Field(None, description="the job's id and its idempotency key; a new one if not given")
    kwargs: dict[str, Any] = Field(
        description="the workflow's keyword arguments, `tags`, `deadline`, `then` among them"
    )


class Cancel(Taken):
    """End the job at its next stage, and take it back at the provider where that has a way."""

    act: Literal["cancel"]


class Pause(Taken):
    """Leave the job alone until it is resumed; it still ends at its deadline."""

    act: Literal["pause"]


class Resume(Taken):
    """Go on with a paused job, or reopen an expired one."""

    act: Literal["resume"]
    deadline: float | None = Field(None, gt=0, le=_DEADLINE, description="a new deadline, seconds from now")


class Replay(Taken):
    """Fetch and verify the files of a failed job again; a failed group looks again at its members."""

    act: Literal["replay"]


class Resolve(Taken):
    """End the doubt about a job whose submission got no answer. Exactly one of the three."""

    act: Literal["resolve"]
    remote_id: str | None = Field(None, min_length=1, max_length=500, description="the provider has it, under this id")
    resubmit: bool = Field(False, description="the provider certainly has nothing: send it again")
    fail: bool = Field(False, description="give it up")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum((self.remote_id is not None, self.resubmit, self.fail)) != 1:
            raise ValueError("give exactly one of remote_id, resubmit and fail")
        return self


JobAct = Annotated[Cancel | Pause | Resume | Replay | Resolve, Field(discriminator="act")]


class PauseProvider(Taken):
    """Close the provider's gate: jobs are accepted and wait."""

    act: Literal["pause"]
    seconds: float | None = Field(None, gt=0, le=_DEADLINE, description="until it is resumed, if not given")


class ResumeProvider(Taken):
    """Open the provider's gate, whatever closed it."""

    act: Literal["resume"]


ProviderAct = Annotated[PauseProvider | ResumeProvider, Field(discriminator="act")]


class Problem(Given):
    """Why a request was refused."""

    kind: str = Field(description="for machines: invalid, conflict, not_found, not_here, unauthorized, forbidden, …")
    message: str = Field(description="one sentence that names the field and the remedy")
    field: str | None = Field(None, description="the field at fault, if it is one")


class Refused(Given):
    """The body of every error."""

    error: Problem


class ErrorView(Given):
    """What is wrong with a job."""

    kind: str
    message: str
    remedy: str | None = None


class ArtifactView(Given):
    """A file."""

    name: str
    verification: str = Field(description="pending, verified or unverified")
    uri: str | None = None
    size: int | None = Field(None, description="bytes")
    sha256: str | None = Field(None, description="of the stored file")
    promised_sha256: str | None = None
    digest_rule: str | None = None


class JobView(Given):
    """A job as callers see it. Times are seconds since the epoch. Its request is never shown."""

    job_id: str
    provider: str
    workflow: str
    state: JobState
    remote_id: str | int | None = None
    status_word: str | None = Field(None, description="the provider's own")
    progress: int | None = Field(None, description="percent")
    message: str | None = None
    wish: Wish | None = None
    polls: int
    tags: dict[str, str]
    created_at: float
    submitted_at: float | None = None
    updated_at: float
    deadline_at: float
    due_at: float | None = Field(None, description="its next wake-up; none once it is finished")
    result: dict[str, Any] | None = None
    artifacts: list[ArtifactView]
    error: ErrorView | None = None
    advice: str | None = Field(None, description="what to do about it")
    acts: list[ActName] = Field(description="what can be done about it now")

    @classmethod
    def of(cls, run: Runtime, job: Job) -> Self:
        """A job as the ledger has it."""
        more = {"due_at": job.due_at, "advice": advice(job), "acts": acts.possible(run, job)}
        return cls.model_validate({**job.outcome(), **more})


class UnreadableView(Given):
    """A job whose record a newer version wrote."""

    job_id: str
    provider: str
    message: str
    remedy: str

    @classmethod
    def of(cls, job: Unreadable) -> Self:
        """What is known of it."""
        return cls(job_id=job.id, provider=job.provider, message=job.message, remedy=job.remedy)


class JobsView(Given):
    """One page of jobs, newest first."""

    jobs: list[JobView]
    next: str | None = Field(None, description="give it as `after` for the next page; none on the last")
    unreadable: list[UnreadableView] | None = Field(None, description="jobs that would stand among them")


class EventsView(Given):
    """The events of a job that are still kept, oldest first."""

    events: list[JobEvent]


class ProviderView(Given):
    """Where one provider's jobs stand."""

    provider: str
    counts: dict[JobState, int] = Field(description="of finished ones, how many ever got there")
    unreadable: int | None = Field(None, description="jobs in states that only a newer version knows")
    unfinished: int
    oldest: float | None = Field(None, description="creation of the oldest unfinished job")
    latest: float | None = Field(None, description="creation of the newest job")
    lateness: float = Field(description="seconds for which the job that is due for longest waits")
    gate: Gate
    paused_until: float | None = None

    @classmethod
    def of(cls, found: Overview) -> Self:
        """What the ledger says of a provider."""
        return cls(
            provider=found.provider,
            counts=dict(found.counts),
            unreadable=found.unreadable or None,
            unfinished=found.unfinished,
            oldest=found.oldest,
            latest=found.latest,
            lateness=found.lateness,
            gate=found.gate,
            paused_until=found.paused_until or None,
        )


class ProvidersView(Given):
    """Where all jobs stand."""

    providers: list[ProviderView]


class AnyObject(Given):
    """Any JSON object."""
