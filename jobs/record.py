"""The record of a job, and the moves that change it.

A record is frozen: `job.to(state, …)` and `job.stay(…)` give the move from the record as it was read to the record as
it shall be. The ledger writes a move only if nobody else moved the job in between.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

from jobs.artifacts import Artifact
from jobs.errors import IllegalMove, InvalidJob, RecordTooNew
from jobs.links import GROUP, bare, title
from jobs.states import REOPENINGS, TERMINAL, JobState, Wish, check_move

#: The version of the stored record. A reader accepts every version up to its own. 2: a job may have links in `then`.
RECORD_VERSION = 2

_JOB_ID = re.compile(r"[!-~]{1,200}")


def check_job_id(job_id: str) -> str:
    """Accept an id that can stand in a key, a file name and a command line.

    Raises:
        InvalidJob: the id is empty, longer than 200 characters, or holds anything but printable ASCII.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise InvalidJob("id: use 1 to 200 printable ASCII characters without spaces")
    return job_id


def _stored_time(seconds: float | None) -> float | None:
    """A time as the ledger keeps it, in whole milliseconds: an outcome reads the same wherever it is read."""
    return round(seconds * 1000) / 1000 if seconds is not None else None


def digest_of(workflow: str, request: Mapping[str, Any]) -> str:
    """The fingerprint by which a repeated trigger is told from another request under the same id."""
    text = json.dumps([workflow, request], sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job, or its last attempt, did not succeed. Never holds request bodies, keys or personal data."""

    kind: str  #: the class of the error, for machines: `refused`, `provider_failed`, `digest_mismatch`, …
    message: str  #: one sentence for people
    remedy: str | None = None  #: what to do about it


@dataclass(frozen=True, slots=True)
class Job:
    """One request to one remote API, followed to its end. All times are seconds since the epoch."""

    id: str  #: also the Celery task id of the task that started it
    provider: str
    workflow: str  #: as callers name it, without the `settle.` in front
    state: JobState
    created_at: float
    deadline_at: float
    seq: int = 0  #: the fencing token: raised by every claim and every move
    digest: str = ""  #: of the request as it was triggered
    tags: Mapping[str, str] = field(default_factory=dict)  #: the caller's own; Settle never uses them
    request: Mapping[str, Any] | None = None  #: the validated body; dropped as soon as the provider has it
    intent: Mapping[str, Any] | None = None  #: written before the POST: what a lost submission is found by
    receipt: Mapping[str, Any] | None = None  #: written after it: the provider's handle of the job
    submitted_at: float | None = None
    updated_at: float = 0.0  #: of the last move
    polls: int = 0
    attempts: int = 0  #: tries in a row that ended in an error of transport
    word: str | None = None  #: the provider's own status word, as last seen
    progress: int | None = None  #: percent
    message: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    result: Mapping[str, Any] | None = None  #: what the provider said of a job when it ended
    failure: Failure | None = None  #: why it ended, or what is wrong at the moment
    wish: Wish | None = None  #: what a person wants of it
    then: tuple[Mapping[str, Any], ...] = ()  #: the links not started yet; see `jobs.links`
    position: int = 0  #: the place in its chain; 0 is the first job
    root: str | None = None  #: the first job of all that it belongs to; none if it is that itself
    parent: str | None = None  #: the job that started it
    next: str | None = None  #: the job that it started when it had succeeded
    sent: tuple[str, ...] = ()  #: the tasks of other applications that it started, by name
    trace: str | None = None  #: the `traceparent` under which its stages are traced; see `jobs.trace`
    due_at: float | None = None  #: its wake-up time; none once it is finished

    @property
    def finished(self) -> bool:
        """Whether the job has reached a terminal state."""
        return self.state in TERMINAL

    @property
    def broken(self) -> bool:
        """Whether the job is finished, and links after it were not started."""
        return self.finished and bool(self.then)

    def to(self, state: JobState, *, due_at: float | None = None, now: float, **changes: Any) -> Move:
        """The move to another state.

        Args:
            state: where it goes.
            due_at: its next wake-up time; required unless `state` is terminal, where there is none.
            now: the time of the move.
            changes: further fields of the record.

        Raises:
            IllegalMove: the table of moves does not allow it.
            ValueError: an unfinished job without a wake-up time, or a finished one with one.
        """
        check_move(self.state, state)
        if (due_at is None) != (state in TERMINAL):
            raise ValueError(f"{state}: every unfinished job has exactly one wake-up time, a finished one none")
        changes.setdefault("failure", None)
        if state in TERMINAL:
            changes["wish"] = None
            again = self.artifacts or self.provider == GROUP  # what `settle replay` can do something with
            if not (state is JobState.EXPIRED or (state is JobState.FAILED and again)):
                changes["then"] = bare(changes.get("then", self.then))  # nobody can reopen it: forget the bodies
        after = replace(self, state=state, seq=self.seq + 1, due_at=due_at, updated_at=now, **changes)
        return Move(before=self, after=after, news=True)

    def stay(self, *, due_at: float, now: float, **changes: Any) -> Move:
        """The move that leaves the state as it is and sets a new wake-up time.

        It is news, and so an event, only if what is known of the remote job has changed.

        Raises:
            IllegalMove: the job is finished.
        """
        check_move(self.state, self.state)
        after = replace(self, seq=self.seq + 1, due_at=due_at, updated_at=now, **changes)
        news = (after.word, after.progress, after.message, after.failure, after.wish) != (
            self.word,
            self.progress,
            self.message,
            self.failure,
            self.wish,
        )
        return Move(before=self, after=after, news=news)

    def reopen(self, state: JobState, *, due_at: float, now: float, **changes: Any) -> Move:
        """The move by which a person brings a finished job back. No stage ever makes it.

        Raises:
            IllegalMove: a job in this state cannot be reopened there.
        """
        if state not in REOPENINGS.get(self.state, frozenset()):
            raise IllegalMove(f"{self.state} -> {state} is not an allowed reopening")
        changes |= {"failure": None, "attempts": 0, "seq": self.seq + 1}
        after = replace(self, state=state, due_at=due_at, updated_at=now, **changes)
        return Move(before=self, after=after, news=True)

    def outcome(self) -> dict[str, Any]:
        """What callers see of the job: plain JSON types, nothing secret, nothing personal."""
        seen = {
            "job_id": self.id,
            "provider": self.provider,
            "workflow": self.workflow,
            "state": self.state.value,
            "remote_id": (self.receipt or {}).get("remote_id"),
            "status_word": self.word,
            "progress": self.progress,
            "message": self.message,
            "wish": self.wish.value if self.wish else None,
            "polls": self.polls,
            "tags": dict(self.tags),
            "created_at": _stored_time(self.created_at),
            "submitted_at": _stored_time(self.submitted_at),
            "updated_at": _stored_time(self.updated_at),
            "deadline_at": _stored_time(self.deadline_at),
            "result": dict(self.result) if self.result is not None else None,
            "artifacts": [artifact.public() for artifact in self.artifacts],
            "error": asdict(self.failure) if self.failure else None,
            "root": self.root,
            "parent": self.parent,
            "next": self.next,
            "sent": list(self.sent) or None,
            "stopped" if self.finished else "then": [title(link) for link in self.then] or None,
        }
        return {key: value for key, value in seen.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A job whose record a newer version wrote. What the scripts themselves keep of it is known, and no more."""

    id: str
    provider: str
    state: str  #: perhaps one that this version does not know
    version: int  #: of the record
    created_at: float

    remedy: ClassVar[str] = "written by a newer version: update this process"

    @property
    def finished(self) -> bool:
        """Whether the job has reached a terminal state that this version knows."""
        return self.state in TERMINAL

    @property
    def message(self) -> str:
        """What is wrong, in a few words."""
        return f"its record has version {self.version}, this process reads up to {RECORD_VERSION}"

    def error(self) -> RecordTooNew:
        """For whoever cannot go on without the record."""
        return RecordTooNew(f"job {self.id}: {self.message}; {self.remedy}")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A value that is stored and published in the same write as a move, for whoever waits for the job.

    Args:
        key: where it is stored, and the channel it is published on.
        value: the text.
        ttl: seconds until it is forgotten.
    """

    key: str
    value: str
    ttl: int


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a record, written only if (state, seq) in the ledger are still those of `before`; it raises `seq`."""

    before: Job
    after: Job
    news: bool
    announcement: Announcement | None = None

    def announced(self, announcement: Announcement | None) -> Self:
        """The same move, telling whoever waits."""
        return replace(self, announcement=announcement)
