"""What is asked of very many jobs: which of them, and where all of them stand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from jobs.errors import InvalidJob
from jobs.record import Job, Unreadable
from jobs.states import UNFINISHED, JobState

#: A tag longer than this stands under its digest in the index.
_LONGEST_TAG = 200


class Place(NamedTuple):
    """A job's place in every listing: the time of its creation, then its id; newest first."""

    created: int  #: milliseconds since the epoch
    id: str

    def __str__(self) -> str:
        return f"{self.created}:{self.id}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `str` wrote.

        Raises:
            InvalidJob: it is none.
        """
        if not (found := re.fullmatch(r"(\d{1,16}):([!-~]{1,200})", text, re.ASCII)):
            raise InvalidJob("after: not a place in a listing; give `next` of the page before, as it is")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs are wanted. All of it must be true of a job.

    Args:
        providers: of one of these.
        states: in one of these; in any, if there is none.
        tags: with all of these.
        text: its id has this part, in this case of letters.
        since: created at this time or later, seconds since the epoch.
        until: created before it.
        after: only what comes after this place.
        limit: at most so many.
    """

    providers: tuple[str, ...]
    states: frozenset[JobState] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    since: float | None = None
    until: float | None = None
    after: Place | None = None
    limit: int = 100

    def fits(self, job: Job | Unreadable) -> bool:
        """Whether a job, as it was read, is in the state and has the tags that are wanted."""
        if self.states and job.state not in self.states:
            return False
        # The tags of an unreadable one are taken as the index has them.
        return isinstance(job, Unreadable) or self.tags.items() <= dict(job.tags).items()


@dataclass(frozen=True, slots=True)
class Page:
    """What was found.

    Args:
        jobs: newest first.
        next: the place to go on after; none if there is nothing more.
        unreadable: jobs that would stand among them, but a newer version wrote their records; newest first.
    """

    jobs: tuple[Job, ...]
    next: Place | None = None
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def rows(self) -> tuple[Job | Unreadable, ...]:
        """All that was found, for a listing: what cannot be read comes last."""
        return (*self.jobs, *self.unreadable)


class Gate(StrEnum):
    """Whether a provider's jobs are let through."""

    OPEN = "open"
    CLOSED = "closed"  #: paused, by a person or because it failed
    HALF_OPEN = "half_open"  #: the pause is over; one job at a time tries


@dataclass(frozen=True, slots=True)
class Overview:
    """Where one provider's jobs stand.

    Args:
        provider: its name.
        counts: how many jobs are in each state; of finished ones, how many ever got there.
        oldest: when the oldest unfinished job was created, seconds since the epoch; none if there is none.
        latest: when the newest job that is kept was created.
        due: how many jobs should be looked at by now.
        lateness: seconds since the wake-up time of the job that is due for longest; 0 if none is due.
        bundles: how many bundles are queued or running.
        gate: whether its jobs are let through.
        paused_until: when a closed gate opens, seconds since the epoch; 0 if it is not closed.
        failures: pauses in a row.
        unreadable: how many jobs are in states that only a newer version knows.
    """

    provider: str
    counts: Mapping[JobState, int] = field(default_factory=dict)
    oldest: float | None = None
    latest: float | None = None
    due: int = 0
    lateness: float = 0.0
    bundles: int = 0
    gate: Gate = Gate.OPEN
    paused_until: float = 0.0
    failures: int = 0
    unreadable: int = 0

    @property
    def unfinished(self) -> int:
        """How many jobs are under way."""
        return sum(number for state, number in self.counts.items() if state in UNFINISHED)


def gate_of(now: int, paused_until: int, failures: int) -> Gate:
    """What two figures of a gate say; times in milliseconds."""
    if paused_until > now:
        return Gate.CLOSED
    return Gate.HALF_OPEN if failures else Gate.OPEN


def tag_text(name: str, value: str) -> str:
    """A tag as it stands in the name of a key: ASCII, and not too long."""
    text = json.dumps(f"{name}={value}")[1:-1]
    return text if len(text) <= _LONGEST_TAG else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
