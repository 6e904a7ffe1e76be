"""What `--json` prints, command by command: types, of which docs/reference/command.schema.json is made.

A field that is empty is left out. Fields may be added in later versions; none changes its meaning or goes.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from jobs import record
from jobs.search import Gate, Overview
from jobs.states import JobState, Wish


class Shape(BaseModel):
    """One JSON object."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def text(self) -> str:
        """As one line of JSON, without what was not given."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)


class Error(Shape):
    """What is wrong with a job."""

    kind: str
    message: str
    remedy: str | None = None


class Artifact(Shape):
    """A file."""

    name: str
    uri: str | None = Field(None, description="where it is stored")
    size: int | None = Field(None, description="bytes")
    sha256: str | None = Field(None, description="of the stored file")
    promised_sha256: str | None = None
    digest_rule: str | None = Field(None, description="how the digest was taken that matched")
    digest_of: str | None = None
    distinct: bool | None = Field(None, description="whether all lines were seen to differ")
    verification: Literal["pending", "verified", "unverified"]


class Job(Shape):
    """A job. Times are seconds since the epoch. Its request is never shown."""

    job_id: str
    provider: str
    workflow: str
    state: JobState
    remote_id: str | int | None = Field(None, description="the provider's")
    status_word: str | None = Field(None, description="the provider's own")
    progress: int | None = Field(None, description="percent")
    message: str | None = None
    wish: Wish | None = Field(None, description="what a person wants of it")
    polls: int
    tags: dict[str, str]
    created_at: float
    submitted_at: float | None = None
    updated_at: float
    deadline_at: float
    result: dict[str, Any] | None = Field(None, description="what the provider said when it ended")
    artifacts: list[Artifact]
    error: Error | None = None
    root: str | None = Field(None, description="the first job of all that it belongs to")
    parent: str | None = Field(None, description="the job that started it")
    next: str | None = Field(None, description="the job that it started")
    sent: list[str] | None = Field(None, description="tasks of other applications that it started")
    then: list[str] | None = Field(None, description="what follows when it has succeeded")
    stopped: list[str] | None = Field(None, description="what was not started because it did not succeed")

    @classmethod
    def of(cls, job: record.Job) -> Self:
        """A job as the ledger has it."""
        return cls.model_validate(job.outcome())


class Unreadable(Shape):
    """A job whose record a newer version wrote: this process can tell no more of it."""

    job_id: str
    provider: str
    unreadable: str = Field(description="what is wrong with its record")
    remedy: str

    @classmethod
    def of(cls, job: record.Unreadable) -> Self:
        """What is known of it."""
        return cls(job_id=job.id, provider=job.provider, unreadable=job.message, remedy=job.remedy)


def row(job: record.Job | record.Unreadable) -> Job | Unreadable:
    """A line of a listing."""
    return Unreadable.of(job) if isinstance(job, record.Unreadable) else Job.of(job)


class Provider(Shape):
    """Where one provider's jobs stand."""

    provider: str
    counts: dict[JobState, int] = Field(description="of finished ones, how many ever got there")
    unreadable: int | None = Field(None, description="jobs in states that only a newer version knows")
    gate: Gate
    paused_until: float | None = Field(None, description="when a closed gate opens, seconds since the epoch")
    lateness: float | None = Field(None, description="seconds for which the job that is due for longest waits")
    oldest: float | None = Field(None, description="creation of the oldest unfinished job, seconds since the epoch")

    @classmethod
    def of(cls, found: Overview) -> Self:
        """What the ledger says of a provider."""
        seen = {"counts": dict(found.counts), "gate": found.gate, "lateness": found.lateness, "oldest": found.oldest}
        seen |= {"paused_until": found.paused_until or None, "unreadable": found.unreadable or None}
        return cls(provider=found.provider, **{name: value for name, value in seen.items() if value is not None})


class Bulk(Shape):
    """What became of a file of many lines."""

    lines: int
    invalid: int = Field(description="lines that cannot become a job")
    duplicates: int = Field(description="lines equal to an earlier one that were left out")
    jobs: dict[Literal["created", "same", "conflict", "unsure"], int]
    outcomes: dict[str, int] | None = Field(
        None, description="with --wait: jobs by state, `unfinished`, `forgotten`, `unreadable`"
    )


class Line(Shape):
    """One line of the report of a file of many lines."""

    line: int = Field(description="in the file, from 1")
    job_id: str | None = None
    state: Literal["created", "same", "conflict", "unsure", "invalid", "duplicate", "not_sent"]
    field: str | None = Field(None, description="the first field at fault")
    error: str | None = None
    outcome: str | None = Field(None, description="with --wait: the state in which the job ended")
    record: Literal["accepted", "rejected", "unknown"] | None = Field(None, description="of one record of a job")


class Finding(Shape):
    """Something that `settle doctor` found."""

    subject: str
    level: Literal["refused", "warning", "fine"]
    what: str
    remedy: str


class Fate(Shape):
    """What becomes of an unfinished job after Redis came back from a copy."""

    job_id: str
    workflow: str
    was: JobState
    fate: str


class User(Shape):
    """A user of Redis."""

    name: str
    rules: list[str]
    line: str = Field(description="for Redis' ACL file, with PASSWORD in the place of a password")


class Scene(Shape):
    """One job of the demo."""

    job_id: str
    story: str
    state: JobState | None = Field(None, description="in which it ended; none if it was never recorded")
    polls: int = Field(description="by the ledger")
    submitted: int = Field(description="times, by the books of the simulated API")
    faults: list[str] = Field(description="what is not as it should be")


class Target(Shape):
    """Who is told of events."""

    target: str
    where: str = Field(description="the scheme and host of a webhook, the task and queue of a downstream task")
    state: Literal["open", "paused", "disabled", "not configured"]
    waiting: int = Field(description="deliveries")
    dead: int = Field(description="deliveries that were given up, and are kept")
    delivered: int
    failed: int = Field(description="tries that were not taken")
    disabled_at: float = Field(description="0, or when it said that it is gone, seconds since the epoch")
    paused_until: float = Field(description="0, or when it wants to be asked again, seconds since the epoch")


class Letter(Shape):
    """A delivery that was given up."""

    target: str
    job_id: str
    type: str = Field(description="of the event")
    id: str = Field(description="of the delivery")
    died_at: float = Field(description="seconds since the epoch")
    tries: int
    reason: str


class Replayed(Shape):
    """What is delivered again to one target."""

    target: str
    replayed: int = Field(description="deliveries that were given up, and wait for their turn now")


class Forgotten(Shape):
    """A target that is no longer known, and what went with it."""

    target: str
    waiting: int = Field(description="deliveries that waited")
    dead: int = Field(description="deliveries that were given up, and were kept")


class Trial(Shape):
    """What an endpoint answered to an event of type settle.test."""

    target: str
    result: Literal["sent", "later", "gone"] = Field(description="taken, or worth another try, or the endpoint is gone")
    reason: str


class Tick(Shape):
    """The job of a tick."""

    job_id: str
    state: JobState


class Schedule(Shape):
    """A workflow on a crontab."""

    name: str
    workflow: str
    crontab: str
    timezone: str
    next: list[str] = Field(description="the next ticks, ISO 8601 in its time zone")
    last: Tick | None = Field(None, description="the latest job of it that the ledger still has")


#: What a line of each command's `--json` is.
PRINTED: dict[str, tuple[type[Shape], ...]] = {
    "submit": (Job, Bulk),
    "certify": (Job,),
    "status": (Job,),
    "wait": (Job, Unreadable),
    "watch": (Job, Unreadable, Provider),
    "list": (Job, Unreadable),
    "resolve": (Job,),
    "pause": (Job, Provider),
    "resume": (Job, Provider),
    "cancel": (Job,),
    "replay": (Job,),
    "restored": (Fate,),
    "webhooks list": (Target,),
    "webhooks dead": (Letter,),
    "webhooks replay": (Replayed,),
    "webhooks enable": (Target,),
    "webhooks forget": (Forgotten,),
    "webhooks test": (Trial,),
    "schedules": (Schedule,),
    "acl": (User,),
    "doctor": (Finding,),
    "demo": (Scene,),
}
