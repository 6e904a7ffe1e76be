"""How a job is written to a Redis hash and an event to a stream, and read back.

Fields that change at every poll stand alone; what belongs together is one JSON text. `v` is the oldest version of the
record whose readers do a job justice: one that does not know of links would end a chain without a word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from jobs.artifacts import Artifact
from jobs.ledger_types import Event, Glance
from jobs.record import RECORD_VERSION, Failure, Job, Move, Unreadable
from jobs.search import tag_text
from jobs.states import JobState, Wish

#: The version of an event.
EVENT_VERSION = 1

_STATES = frozenset(JobState)


#: One for all: `json.dumps` makes one per call when it is told anything.
_JSON = json.JSONEncoder(separators=(",", ":"))


def dump(value: Any) -> str:
    """Compact JSON in ASCII: a lone surrogate in a provider's text cannot be encoded in any other way."""
    return _JSON.encode(value)


def millis(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def tag_texts(tags: Mapping[str, str]) -> str:
    """The tags of a job as the scripts take them; empty if it has none."""
    return dump([tag_text(name, value) for name, value in tags.items()]) if tags else ""


def _doc(job: Job) -> str:
    return dump(
        {
            "v": RECORD_VERSION if job.then else 1,
            "provider": job.provider,
            "workflow": job.workflow,
            "created": job.created_at,
            "deadline": job.deadline_at,
            "tags": dict(job.tags),
        }
    )


def _seen(job: Job) -> str:
    seen = {"word": job.word, "progress": job.progress, "message": job.message}
    seen = {key: value for key, value in seen.items() if value is not None}
    return dump(seen) if seen else ""


def _chain(job: Job) -> str:
    chain = {
        "position": job.position,
        "root": job.root,
        "parent": job.parent,
        "next": job.next,
        "sent": list(job.sent),
        "broken": job.broken,
    }
    chain = {key: value for key, value in chain.items() if value}
    return dump(chain) if chain else ""


def _optional(value: Any) -> str:
    return dump(value) if value is not None else ""


#: The fields of the hash: what of a job each is made of, and how. An empty text is a field that is not there.
_FIELDS: dict[str, tuple[Callable[[Job], Any], Callable[[Job], str]]] = {
    "doc": (attrgetter("provider", "workflow", "created_at", "deadline_at", "tags", "then"), _doc),
    "updated": (attrgetter("updated_at"), lambda job: str(millis(job.updated_at))),
    "polls": (attrgetter("polls"), lambda job: str(job.polls or "")),
    "attempts": (attrgetter("attempts"), lambda job: str(job.attempts or "")),
    "submitted": (
        attrgetter("submitted_at"),
        lambda job: str(millis(job.submitted_at)) if job.submitted_at is not None else "",
    ),
    "request": (attrgetter("request"), lambda job: _optional(job.request)),
    "intent": (attrgetter("intent"), lambda job: _optional(job.intent)),
    "receipt": (attrgetter("receipt"), lambda job: _optional(job.receipt)),
    "seen": (attrgetter("word", "progress", "message"), _seen),
    "artifacts": (
        attrgetter("artifacts"),
        lambda job: dump([artifact.to_json() for artifact in job.artifacts]) if job.artifacts else "",
    ),
    "result": (attrgetter("result"), lambda job: _optional(job.result)),
    "failure": (attrgetter("failure"), lambda job: dump(asdict(job.failure)) if job.failure else ""),
    "wish": (attrgetter("wish"), lambda job: job.wish.value if job.wish else ""),
    "then": (attrgetter("then"), lambda job: dump(job.then) if job.then else ""),
    "chain": (attrgetter("position", "root", "parent", "next", "sent", "broken"), _chain),
    "trace": (attrgetter("trace"), lambda job: job.trace or ""),
}


def to_fields(job: Job) -> dict[str, str]:
    """The fields of a job that are not empty, without the scripts' own (`state`, `seq`, `floor`, `lease`, `digest`)."""
    return {name: text for name, (_, write) in _FIELDS.items() if (text := write(job))}


def from_fields(job_id: str, fields: Mapping[str, str], due_at: float | None = None) -> Job:
    """The job that a hash holds.

    Raises:
        RecordTooNew: the record was written by a newer version.
    """
    found = read(job_id, fields, due_at)
    if isinstance(found, Unreadable):
        raise found.error()
    return found


def read(job_id: str, fields: Mapping[str, str], due_at: float | None = None) -> Job | Unreadable:
    """The job that a hash holds, or what is known of one that a newer version wrote."""
    static = json.loads(fields["doc"])
    if static["v"] > RECORD_VERSION:
        return Unreadable(job_id, static["provider"], fields["state"], static["v"], static["created"])

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
    return Glance(to_state(state), links.get("next"), bool(links.get("broken")))


def to_state(state: str) -> JobState | None:
    """A state by its name; none for one that only a newer version knows."""
    return JobState(state) if state in _STATES else None


def to_counts(held: Mapping[str, str]) -> tuple[dict[JobState, int], int]:
    """How many jobs are in each state, and how many in states that only a newer version knows."""
    counts = {state: int(held[state]) for state in JobState if int(held.get(state, 0))}
    return counts, sum(int(number) for state, number in held.items() if state not in _STATES)


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
    changed: dict[str, str] = {}
    dropped: list[str] = []
    for name, (parts, write) in _FIELDS.items():
        # Most moves are polls, which change three fields: the others are not worth writing to be compared.
        if parts(move.before) != parts(move.after):
            before, after = write(move.before), write(move.after)
            if after and after != before:
                changed[name] = after
            elif before and not after:
                dropped.append(name)
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
