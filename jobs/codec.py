"""How a job is written to a Redis hash and an event to a stream, and read back.

Fields that change at every poll stand alone; what belongs together is one JSON text. `v` is the oldest version of the
record whose readers do a job justice: one that does not know of links would end a chain without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jobs.artifacts import Artifact
from jobs.errors import SettleError
from jobs.ledger import Event, Glance
from jobs.record import RECORD_VERSION, Failure, Job, Move
from jobs.states import JobState, Wish

#: The version of an event.
EVENT_VERSION = 1


def dump(value: Any) -> str:
    """Compact JSON in ASCII: a lone surrogate in a provider's text cannot be encoded in any other way."""
    return json.dumps(value, separators=(",", ":"))


def millis(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def to_fields(job: Job) -> dict[str, str]:
    """The fields of a job that are not empty, without the scripts' own (`state`, `seq`, `floor`, `lease`, `digest`)."""
    static = {
        "v": RECORD_VERSION if job.then else 1,
        "provider": job.provider,
        "workflow": job.workflow,
        "created": job.created_at,
        "deadline": job.deadline_at,
        "tags": dict(job.tags),
    }
    seen = {"word": job.word, "progress": job.progress, "message": job.message}
    seen = {key: value for key, value in seen.items() if value is not None}
    chain = {
        "position": job.position,
        "root": job.root,
        "parent": job.parent,
        "next": job.next,
        "sent": list(job.sent),
        "broken": job.broken,
    }
    chain = {key: value for key, value in chain.items() if value}
    fields = {
        "doc": dump(static),
        "updated": str(millis(job.updated_at)),
        "polls": str(job.polls) if job.polls else "",
        "attempts": str(job.attempts) if job.attempts else "",
        "submitted": str(millis(job.submitted_at)) if job.submitted_at is not None else "",
        "request": dump(job.request) if job.request is not None else "",
        "intent": dump(job.intent) if job.intent is not None else "",
        "receipt": dump(job.receipt) if job.receipt is not None else "",
        "seen": dump(seen) if seen else "",
        "artifacts": dump([artifact.to_json() for artifact in job.artifacts]) if job.artifacts else "",
        "result": dump(job.result) if job.result is not None else "",
        "failure": dump(asdict(job.failure)) if job.failure else "",
        "wish": job.wish.value if job.wish else "",
        "then": dump(job.then) if job.then else "",
        "chain": dump(chain) if chain else "",
        "trace": job.trace or "",
    }
    return {key: value for key, value in fields.items() if value}


def from_fields(job_id: str, fields: Mapping[str, str], due_at: float | None = None) -> Job:
    """The job that a hash holds.

    Raises:
        SettleError: the record was written by a newer version.
    """
    static = json.loads(fields["doc"])
    if static["v"] > RECORD_VERSION:
        raise SettleError(
            f"job {job_id}: its record has version {static['v']}, this worker reads up to {RECORD_VERSION}"
        )

    def part(name: str) -> Any:
        return json.loads(fields[name]) if name in fields else None

    seen = part("seen") or {}
    failure = part("failure")
    chain = part("chain") or {}
    submitted = fields.get("submitted")
    return Job(
        id=job_id,
        provider=static["provider"],
        workflow=static["workflow"],
        state=JobState(fields["state"]),
        seq=int(fields["seq"]),
        created_at=static["created"],
        deadline_at=static["deadline"],
        digest=fields["digest"],
        tags=static["tags"],
        request=part("request"),
        intent=part("intent"),
        receipt=part("receipt"),
        submitted_at=int(submitted) / 1000 if submitted else None,
        updated_at=int(fields.get("updated", 0)) / 1000,
        polls=int(fields.get("polls", 0)),
        attempts=int(fields.get("attempts", 0)),
        word=seen.get("word"),
        progress=seen.get("progress"),
        message=seen.get("message"),
        artifacts=tuple(Artifact.from_json(raw) for raw in part("artifacts") or ()),
        result=part("result"),
        failure=Failure(**failure) if failure else None,
        wish=Wish(fields["wish"]) if "wish" in fields else None,
        then=tuple(part("then") or ()),
        position=chain.get("position", 0),
        root=chain.get("root"),
        parent=chain.get("parent"),
        next=chain.get("next"),
        sent=tuple(chain.get("sent", ())),
        trace=fields.get("trace"),
        due_at=due_at,
    )


def to_glance(state: str, chain: str | None) -> Glance:
    """What two fields of a hash tell of a job."""
    links = json.loads(chain) if chain else {}
    return Glance(JobState(state), links.get("next"), bool(links.get("broken")))


def event_data(job: Job) -> str:
    """What an event tells of a job beside the move itself; enough to follow a job without reading the ledger."""
    data: dict[str, Any] = {"v": EVENT_VERSION, "workflow": job.workflow}
    for name in ("word", "progress", "message"):
        if (value := getattr(job, name)) is not None:
            data[name] = value
    if job.failure:
        data["error"] = asdict(job.failure)
    if job.finished:
        data["outcome"] = job.outcome()
    return dump(data)


def changed_fields(move: Move) -> tuple[dict[str, str], list[str]]:
    """The hash fields that a move sets, and those that it drops."""
    before, after = to_fields(move.before), to_fields(move.after)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    dropped = [name for name in before if name not in after]
    return changed, dropped


def to_event(fields: Mapping[str, str]) -> Event:
    """The event that a stream entry holds."""
    return Event(
        job_id=fields["job"],
        seq=int(fields["seq"]),
        source=JobState(fields["from"]) if fields["from"] else None,
        target=JobState(fields["to"]),
        at=int(fields["at"]) / 1000,
        data=json.loads(fields["data"]),
    )
