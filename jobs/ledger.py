"""The ledger's contract: the only truth about jobs. Messages are wake-up calls and may be lost or doubled.

Invariants, each with a property test:

1. Every unfinished job has exactly one wake-up time.
2. Every move is compare-and-set on (state, seq): whoever lost its claim cannot write.
3. Every move appends one event; the history of a job can be rebuilt from the events alone.
4. A finished job never moves again, unless a person reopens it.

`RedisLedger` keeps it in Redis; `MemoryLedger` is the double for unit tests. Both pass one suite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from jobs.notes import NoteBook
from jobs.pacing import Turns
from jobs.record import Announcement, Job, Move, Unreadable
from jobs.search import Overview, Page, Query
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


class Ledger(NoteBook, Protocol):
    """Holds the jobs of all providers. Every time is in seconds; "now" is the ledger's injected clock."""

    def now(self) -> float:
        """The time by the ledger's clock."""
        ...

    def accept(self, job: Job, announcement: Announcement | None = None) -> Acceptance:
        """Record a job, once. Nothing changes unless the answer is `CREATED`."""
        ...

    def accept_all(self, jobs: Sequence[tuple[Job, Announcement | None]]) -> list[Acceptance]:
        """Record jobs, each as `accept` does, with a few round trips for all of them."""
        ...

    def provider_of(self, job_id: str) -> str:
        """The provider under which an id is recorded.

        Raises:
            JobNotFound: no job has this id.
        """
        ...

    def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no job has this id.
            RecordTooNew: a newer version wrote its record.
        """
        ...

    def read(self, job_ids: Sequence[str]) -> list[Job | Unreadable | None]:
        """Read jobs of any providers with two round trips, in this order; none for an id that is not recorded."""
        ...

    def newest(self, providers: Sequence[str], limit: int) -> list[str]:
        """The ids of the latest jobs of all these providers together, newest first, with one round trip."""
        ...

    def glance(self, job_ids: Sequence[str]) -> list[Glance | None]:
        """Where jobs of any providers are, in this order; none for an id that is not recorded."""
        ...

    def claim(self, provider: str, limits: ClaimLimits) -> Bundle:
        """Take what is due, atomically, and push its wake-up times forward by the lease."""
        ...

    def claim_all(self, limits: Mapping[str, ClaimLimits]) -> dict[str, Bundle]:
        """Claim of each of these providers, with one round trip for all of them."""
        ...

    def begin(
        self, provider: str, wakes: Iterable[tuple[str, int | None]], states: Collection[JobState], lease: float
    ) -> list[Job]:
        """Start a stage on jobs in its states claimed since their last move; without `seq`, if nobody holds them."""
        ...

    def renew(self, job: Job, lease: float) -> bool:
        """Hold a job for another lease; false if it was lost to somebody else."""
        ...

    def write(self, moves: Sequence[Move]) -> list[Job | None]:
        """Write moves in one go; the job as it stands now, or none where somebody else moved it in between."""
        ...

    def hasten(self, provider: str, job_ids: Sequence[str], spacing: float) -> int:
        """Bring the next look at jobs forward, because their provider says that there is news.

        Only of jobs that are polled and that nobody paused. Nothing but the wake-up time changes, so a call that is
        lost, doubled or untrue costs nothing: the gate holds, and a poll decides. Of a job in hand the next look comes
        as soon as this one is over.

        Args:
            provider: of the jobs; ids of others, or of none, are left alone.
            job_ids: the jobs.
            spacing: however many calls come, they make one extra look at a job in this time, seconds.

        Returns:
            How many looks were brought forward.
        """
        ...

    def keep_handles(self, provider: str, handles: Mapping[str, str], until: float) -> None:
        """Remember which job each of a provider's own names means, until a time: for notifications that know no id."""
        ...

    def of_handles(self, provider: str, handles: Sequence[str]) -> list[str]:
        """The jobs that a provider's own names mean, as far as they are kept."""
        ...

    def copied(self, jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        """Whether each record stands in the ledger as it is here, and so many replicas of the ledger know it too.

        Args:
            jobs: of one provider, as they were just written.
            replicas: so many, at least.
            within: they are waited for so long, seconds.
        """
        ...

    def close_bundle(self, provider: str, bundle: str) -> None:
        """A bundle is no longer outstanding."""
        ...

    def pause(self, provider: str, seconds: float | None = None) -> float:
        """Close the provider's gate; without `seconds` longer with every call in a row. Returns until when.

        Then it is half open: one job is claimed as the probe, and no other until `pause` or `unpause` tells its
        outcome, or its lease is over.
        """
        ...

    def unpause(self, provider: str) -> None:
        """The provider answers again: open the gate and forget the failures in a row, unless it is still closed."""
        ...

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        """Turns to send one request each, for all workers together never more than `rate` in any second.

        Args:
            provider: who is called.
            rate: requests per second, above 0; a fraction above 1 is cut off, below 1 it means one in 1/rate seconds.
            holder: who asks, a name of its own for each process; without `|`.
            wanted: so many, at most.
            over: the tokens of earlier turns, and the time by which their request had arrived.
        """
        ...

    def open_gate(self, provider: str) -> None:
        """Open the provider's gate at once, whatever closed it."""
        ...

    def paused_until(self, provider: str) -> float:
        """When the provider's gate opens; 0 if it is open."""
        ...

    def learn(self, provider: str, counts: Sequence[tuple[str, Mapping[int, float]]]) -> None:
        """Add to the histograms of how long jobs took: for each job its workflow, and its shares by bin."""
        ...

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        """The histograms by workflow; the latest job counts as one, older ones as less (`jobs.learning`)."""
        ...

    def jobs(self, provider: str, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The latest jobs of a provider, newest first.

        Raises:
            RecordTooNew: a newer version wrote the record of one; `find` leaves nobody out because of another.
        """
        ...

    def find(self, query: Query) -> Page:
        """The jobs that are wanted, newest first, without reading the others."""
        ...

    def overview(self, providers: Sequence[str]) -> list[Overview]:
        """Where the jobs of providers stand: counts, oldest and newest, lateness, gate; for pages and metrics."""
        ...

    def reindex(self, provider: str, tell: Callable[[int], None] | None = None) -> int:
        """Put what `find` searches in order, whatever an older version left behind. Returns how many jobs there are.

        Args:
            provider: its name.
            tell: told how many more jobs are done, now and then.
        """
        ...

    def counts(self, provider: str) -> dict[JobState, int]:
        """How many jobs are in each state; of finished ones, how many ever got there."""
        ...

    def events(self, provider: str, job_id: str | None = None) -> list[Event]:
        """The events still kept, oldest first; of one job, without those of a forgotten one that had its id."""
        ...
