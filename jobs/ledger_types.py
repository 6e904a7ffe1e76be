"""What the ledger is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobs.states import TERMINAL, JobState


class Acceptance(StrEnum):
    """What became of a trigger."""

    CREATED = "created"  #: a new job
    SAME = "same"  #: this very request is a job already
    CONFLICT = "conflict"  #: the id belongs to another request


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """What one claim may take.

    Args:
        bundle_size: jobs in one bundle.
        bundles: how many bundles may be outstanding per provider, queued or running.
        lease: seconds for which a claim holds.
        rate: requests per second for all workers together, kept by `Ledger.turns`; a claim takes little more, and
            nothing while requests queue for their turn. 0 means no limit.
        in_flight: requests in flight for all workers together; 0 means no limit.
    """

    bundle_size: int
    bundles: int
    lease: float
    rate: float = 0.0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one job, until the lease is over. `seq` is its fencing token."""

    id: str
    seq: int
    state: JobState
    due_at: float = field(default=0.0, compare=False)  #: when it was due, before the claim; seconds since the epoch


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one claim took.

    Args:
        name: under which the bundle counts as outstanding until it is closed.
        claims: the jobs taken.
        wait: seconds until the next look is worth while; none if no job waits.
        damaged: the jobs whose key holds something else than a record; they are looked at again after a lease.
        error: why nothing can be claimed of this provider, in Redis' own words; `None` if it can.
    """

    name: str
    claims: tuple[Claim, ...]
    wait: float | None
    damaged: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history."""

    job_id: str
    seq: int
    source: JobState | None  #: none for the first event of a job
    target: JobState
    at: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Glance:
    """Where a job is, and what followed it.

    Args:
        state: of the job; none if only a newer version knows it.
        next: the job that it started when it had succeeded.
        broken: whether it is finished, and links after it were not started.
    """

    state: JobState | None
    next: str | None = None
    broken: bool = False

    @property
    def finished(self) -> bool:
        """Whether the job has reached a terminal state."""
        return self.state in TERMINAL
