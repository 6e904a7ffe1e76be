"""What is known of a job: while it runs, where it is; at its end, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self


class State(StrEnum):
    """Where a job is. As text it is the word in Settle's ledger; Celery shows the same in capitals."""

    PENDING = "pending"  #: no worker has taken the trigger yet, or there is no such job
    ACCEPTED = "accepted"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"  #: the answer to the submission was lost; the provider is asked, then perhaps a person
    POLLING = "polling"
    FETCHING = "fetching"
    VERIFYING = "verifying"
    EMITTING = "emitting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OTHER = "other"  #: a word that only a newer Settle knows

    @classmethod
    def _missing_(cls, value: object) -> State:
        return cls.OTHER

    @property
    def finished(self) -> bool:
        """Whether the job has ended, with success or without."""
        return self in (State.SUCCEEDED, State.FAILED, State.EXPIRED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a job, or was with its last attempt."""

    kind: str  #: for machines
    message: str  #: one sentence for people
    remedy: str | None = None  #: what to do about it


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a provider produced, as Settle stored it."""

    name: str
    verification: str  #: `verified`, `unverified` (the provider promised no digest), `pending` or `failed`
    uri: str | None = None
    size: int | None = None  #: of what is stored, bytes
    sha256: str | None = None  #: of what is stored
    promised_sha256: str | None = None  #: what the provider promised, if it did
    digest_rule: str | None = None
    digest_of: str | None = None
    distinct: bool = False  #: whether it was made sure that no line comes twice


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a job. Times are in UTC."""

    job_id: str
    provider: str
    workflow: str
    state: State
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    submitted_at: datetime | None = None
    polls: int = 0
    remote_id: str | None = None  #: the provider's name for the job
    status_word: str | None = None  #: the provider's own word for where it is
    progress: int | None = None  #: per cent, if the provider tells it
    message: str | None = None
    wish: str | None = None  #: what a person wants of it: `pause`, `cancel`, `resubmit`
    tags: Mapping[str, str] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None  #: the provider's answer; its page in docs/providers has the fields
    artifacts: tuple[Artifact, ...] = ()
    error: Problem | None = None
    root: str | None = None  #: the first job of its chain
    parent: str | None = None  #: the job before it
    next: str | None = None  #: the job after it
    sent: tuple[str, ...] = ()  #: ids of the messages to other applications
    then: tuple[str, ...] = ()  #: what is still to follow
    stopped: tuple[str, ...] = ()  #: what should have followed, and does not
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  #: all of it, as Settle wrote it

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read what Settle wrote; what this version does not know is in `raw` only.

        Raises:
            KeyError: it is not the outcome of a job.
        """
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        for name in ("created_at", "updated_at", "deadline_at", "submitted_at"):
            if name in known:
                known[name] = datetime.fromtimestamp(known[name], UTC)
        for name in ("sent", "then", "stopped"):
            known[name] = tuple(known.get(name, ()))
        files = [_known(Artifact, each) for each in raw.get("artifacts", ())]
        error = _known(Problem, raw["error"]) if raw.get("error") else None
        return cls(**{**known, "state": State(raw["state"]), "artifacts": tuple(files), "error": error, "raw": raw})


def _known(kind: type[Any], raw: Mapping[str, Any]) -> Any:
    return kind(**{name: raw[name] for name in kind.__dataclass_fields__ if name in raw})
