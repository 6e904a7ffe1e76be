"""What every part of the ledger in memory works with: the clock, and a shelf per provider."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from jobs import codec
from jobs.clock import Clock, SystemClock
from jobs.ledger import Event
from jobs.pacing import Tokens
from jobs.record import Announcement, Job
from jobs.states import JobState


class Shelf:
    """What is kept of one provider. All times are whole milliseconds, as in Redis."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.due: dict[str, int] = {}
        self.lease: dict[str, int] = {}
        self.floor: dict[str, int] = {}  # the seq of the last move or beginning
        self.hastened: dict[str, int] = {}  # when the last extra look was to come
        self.again: dict[str, int] = {}  # of jobs in hand: when to look again, because there was news meanwhile
        self.handles: dict[str, tuple[str, int]] = {}
        self.done: dict[str, int] = {}
        self.bundles: dict[str, int] = {}
        self.events: list[Event] = []
        self.counts: Counter[JobState] = Counter()
        self.notes: dict[str, str] = {}
        self.until: dict[str, int] = {}  # of notes that concern a job
        self.books: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.tokens: tuple[float, int] | None = None
        self.paused_until = 0
        self.failures = 0
        self.probe_until = 0
        self.prober = ""
        self.submissions = [0, 0, 0]  # paused until, failures, probe until
        self.sends = Tokens()
        self.learnt: dict[str, dict[int, float]] = {}
        self.weight: defaultdict[str, float] = defaultdict(lambda: 1.0)


class MemoryStore:
    """Jobs in memory, one process, nothing durable.

    Args:
        clock: tells the time.
        retention: seconds for which a finished job is kept.
        pause_limits: the shortest and the longest pause of a provider that fails in a row, in seconds.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        retention: float = 7 * 86400.0,
        pause_limits: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        self._clock = clock or SystemClock()
        self._retention = codec.millis(retention)
        self._pause_limits = pause_limits
        self._shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        self._owners: dict[str, str] = {}
        self.announced: dict[str, Announcement] = {}  #: the latest announcement under each key

    def now(self) -> float:
        """The time by the ledger's clock, in seconds since the epoch."""
        return self._clock.now()

    def _now(self) -> int:
        return codec.millis(self._clock.now())

    @staticmethod
    def _stored(job: Job) -> Job:
        """The job as it reads after a round trip through its stored form."""
        fields = {"state": job.state.value, "seq": str(job.seq), "digest": job.digest, **codec.to_fields(job)}
        return codec.from_fields(job.id, fields, job.due_at)

    def _schedule(self, shelf: Shelf, job: Job) -> None:
        if job.due_at is not None:
            shelf.due[job.id] = codec.millis(job.due_at)
            shelf.done.pop(job.id, None)  # reopened by a person
        else:
            shelf.due.pop(job.id, None)
            shelf.done[job.id] = self._now() + self._retention

    def _tell(
        self,
        shelf: Shelf,
        source: JobState | None,
        job: Job,
        announcement: Announcement | None,
        *,
        news: bool,
    ) -> None:
        if news:
            fields = {
                "job": job.id,
                "seq": str(job.seq),
                "from": source.value if source else "",
                "to": job.state.value,
                "at": str(self._now()),
                "data": codec.event_data(job),
            }
            shelf.events.append(codec.to_event(fields))
        if announcement:
            self.announced[announcement.key] = announcement

    @staticmethod
    def _read(shelf: Shelf, job_id: str) -> Job:
        due = shelf.due.get(job_id)
        return replace(shelf.jobs[job_id], due_at=due / 1000 if due is not None else None)

    def _expire(self, shelf: Shelf) -> None:
        for job_id in [job_id for job_id, end in shelf.done.items() if end <= self._now()]:
            del shelf.jobs[job_id], shelf.done[job_id], shelf.lease[job_id], shelf.floor[job_id], self._owners[job_id]
            shelf.hastened.pop(job_id, None)
