"""What an event is: the types of everything that is told of a job, and the JSON Schema made of them.

One form for all: `settle events --json`, `workflows.events`, the `data` of a webhook, the argument of a downstream
task. `docs/events.schema.json` is what `schema()` gives; a test compares them, and holds every event of a whole run
against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from jobs.codec import EVENT_VERSION, dump, event_data
from jobs.errors import SettleError
from jobs.ledger_types import Event
from jobs.record import Job
from jobs.states import JobState, Wish


class Told(BaseModel):
    """At least these fields; one that is empty is left out, and a later version of Settle may add others."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)


class Problem(Told):
    """Why a job, or its last attempt, did not succeed."""

    kind: str
    """For machines: `refused`, `provider_failed`, `digest_mismatch`, …"""
    message: str
    """One sentence for people."""
    remedy: str | None = None
    """What to do about it."""


class File(Told):
    """A file that the provider made."""

    name: str
    verification: str
    """`pending`, `verified` or `unverified`."""
    uri: str | None = None
    """Where it is stored."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    """Of the stored bytes."""
    promised_sha256: str | None = None
    """Only if the provider promised one."""
    digest_rule: str | None = None
    """How the promised one is made of the file."""
    digest_of: str | None = None
    """Of a gzip file: which bytes gave it, `file` or `content`."""
    distinct: bool | None = None
    """No two of its lines are the same."""


class Outcome(Told):
    """How a job ended: what `AsyncResult.get()` returns for a job that succeeded. Times are Unix seconds."""

    job_id: str
    provider: str
    workflow: str
    state: JobState
    remote_id: str | int | None = None
    """The provider's id of the job."""
    status_word: str | None = None
    """The provider's own."""
    progress: int | None = None
    """Percent."""
    message: str | None = None
    wish: Wish | None = None
    polls: int
    tags: dict[str, str]
    """The caller's own."""
    created_at: float
    submitted_at: float | None = None
    updated_at: float
    deadline_at: float
    result: dict[str, Any] | None = None
    """What the provider said of it at the end."""
    artifacts: list[File]
    error: Problem | None = None
    root: str | None = None
    """The first job of the chain or group that it belongs to."""
    parent: str | None = None
    """The job that started it."""
    next: str | None = None
    """The job that it started."""
    sent: list[str] | None = None
    """The tasks of other applications that it started."""
    stopped: list[str] | None = None
    """What should have followed it, and was not started."""


class EventData(Told):
    """What is known of the job since this event."""

    v: int
    """The version of the form, 1. It rises if a field changes its meaning or goes; not if one is added."""
    workflow: str
    """As in `myipr.certify`."""
    word: str | None = None
    """The provider's own status word, as last seen."""
    progress: int | None = None
    """Percent."""
    message: str | None = None
    error: Problem | None = None
    outcome: Outcome | None = None
    """With the last event of a job, and only there."""


class JobEvent(Told):
    """One line of a job's history."""

    provider: str
    job_id: str
    seq: int
    """Grows within a job, not by one. An event whose seq is not above the last one seen of its job is a repeat."""
    source: JobState | None = None
    """The state before; none for the first event of a job, and for one that was made of its record."""
    target: JobState
    """The state now; as before, if only what is known of it has changed."""
    at: float
    """Unix seconds, by the clock of the ledger."""
    data: EventData

    @property
    def id(self) -> str:
        """The same for this event wherever and however often it is told.

        The signature of a webhook joins id, time and body with full stops, so the id has none: a dot in the id of
        the job stands there as `%2E`.
        """
        return f"{self.job_id.replace('%', '%25').replace('.', '%2E')}:{self.seq}"

    @property
    def type(self) -> str:
        """What happened, as webhooks name it: `job.succeeded`."""
        return f"job.{self.target.value}"

    @classmethod
    def of_entry(cls, provider: str, fields: Mapping[str, str]) -> Self:
        """The event that an entry of a provider's stream holds.

        Raises:
            SettleError: a newer version of Settle has written it.
        """
        try:
            event = cls.model_validate(
                {
                    "provider": provider,
                    "job_id": fields["job"],
                    "seq": fields["seq"],
                    "source": fields["from"] or None,
                    "target": fields["to"],
                    "at": int(fields["at"]) / 1000,
                    "data": _data(fields["data"]),
                }
            )
        except (ValidationError, KeyError, ValueError):
            raise SettleError(f"an event of {provider} cannot be read here: {UPGRADE}") from None
        if event.data.v > EVENT_VERSION:
            raise SettleError(f"an event of {provider} has version {event.data.v}: {UPGRADE}")
        return event

    @classmethod
    def of_event(cls, provider: str, event: Event) -> Self:
        """The event as the ledger reads it."""
        data = _data(dump(event.data))
        place = {"job_id": event.job_id, "seq": event.seq, "source": event.source, "target": event.target}
        return cls.model_validate({"provider": provider, **place, "at": event.at, "data": data})

    @classmethod
    def of_record(cls, job: Job) -> Self:
        """The last event of a finished job, made of its record; what it was before is not known there."""
        return cls(
            provider=job.provider,
            job_id=job.id,
            seq=job.seq,
            target=job.state,
            at=job.updated_at,
            data=_data(event_data(job)),
        )

    def text(self) -> str:
        """As compact JSON, without what is empty; the same text each time."""
        return self.model_dump_json(exclude_none=True, ensure_ascii=True)


def _data(text: str) -> EventData:
    """What an event says, as it was written; half a character in a provider's words becomes a question mark."""
    if "\\ud" in text:
        text = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode()
    return EventData.model_validate_json(text)


UPGRADE = "use the version of Settle that the workers have"


class _Plain(GenerateJsonSchema):
    """Without the titles that pydantic makes of field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event."""
    made = JobEvent.model_json_schema(schema_generator=_Plain, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))  # noqa: T201
