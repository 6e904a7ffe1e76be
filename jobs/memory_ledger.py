"""The ledger in memory: the double for unit tests. It passes the same suite as `RedisLedger`.

Its parts are those of the other one: `memory_store`, `memory_moves` and `memory_notes`. Here they are put together,
with what accepts, reads and finds jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jobs import codec
from jobs.errors import JobNotFound
from jobs.ledger import Acceptance, Event, Glance
from jobs.memory_moves import MovesInMemory
from jobs.memory_notes import NotesInMemory
from jobs.record import Announcement, Job, Unreadable
from jobs.search import Overview, Page, Place, Query, gate_of
from jobs.states import JobState


class MemoryLedger(MovesInMemory, NotesInMemory):
    """Jobs in memory, one process, nothing durable.

    Args:
        clock: tells the time.
        retention: seconds for which a finished job is kept.
        pause_limits: the shortest and the longest pause of a provider that fails in a row, in seconds.
    """

    def accept(self, job: Job, announcement: Announcement | None = None) -> Acceptance:
        """Record a job, once. Nothing changes unless the answer is `CREATED`."""
        if job.id in self._owners:
            self._expire(self._shelves[self._owners[job.id]])
        if self._owners.setdefault(job.id, job.provider) != job.provider:
            return Acceptance.CONFLICT
        shelf = self._shelves[job.provider]
        if held := shelf.jobs.get(job.id):
            return Acceptance.SAME if held.digest == job.digest else Acceptance.CONFLICT
        stored = self._stored(replace(job, seq=1))
        shelf.jobs[job.id] = stored
        shelf.counts[job.state] += 1
        shelf.lease[job.id], shelf.floor[job.id] = 0, 1
        self._schedule(shelf, stored)
        self._tell(shelf, None, stored, announcement, news=True)
        return Acceptance.CREATED

    def accept_all(self, jobs: Sequence[tuple[Job, Announcement | None]]) -> list[Acceptance]:
        """Record jobs, each as `accept` does."""
        return [self.accept(job, announcement) for job, announcement in jobs]

    def provider_of(self, job_id: str) -> str:
        """The provider under which an id is recorded.

        Raises:
            JobNotFound: no job has this id.
        """
        try:
            return self._owners[job_id]
        except KeyError:
            raise JobNotFound(f"no job {job_id!r} in the ledger: never triggered, or past its retention") from None

    def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no job has this id.
        """
        shelf = self._shelves[self.provider_of(job_id)]
        self._expire(shelf)
        if job_id not in shelf.jobs:
            raise JobNotFound(f"no job {job_id!r} in the ledger: past its retention")
        return self._read(shelf, job_id)

    def read(self, job_ids: Sequence[str]) -> list[Job | Unreadable | None]:
        """Read jobs of any providers, in this order; none for an id that is not recorded."""
        found: list[Job | Unreadable | None] = []
        for job_id in job_ids:
            try:
                found.append(self.get(job_id))
            except JobNotFound:
                found.append(None)
        return found

    def newest(self, providers: Sequence[str], limit: int) -> list[str]:
        """The ids of the latest jobs of all these providers together, newest first."""
        return [job.id for job in self.find(Query(tuple(providers), limit=limit)).jobs]

    def glance(self, job_ids: Sequence[str]) -> list[Glance | None]:
        """Where jobs of any providers are, in this order; none for an id that is not recorded."""
        found: list[Glance | None] = []
        for job_id in job_ids:
            try:
                job = self.get(job_id)
            except JobNotFound:
                found.append(None)
            else:
                found.append(Glance(job.state, job.next, job.broken))
        return found

    def jobs(self, provider: str, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The latest jobs of a provider, newest first."""
        states = frozenset() if state is None else frozenset({state})
        return list(self.find(Query((provider,), states=states, limit=limit)).jobs)

    def find(self, query: Query) -> Page:
        """The jobs that are wanted, newest first."""
        if query.limit <= 0:
            return Page(())
        for provider in query.providers:
            self._expire(self._shelves[provider])
        held = [job for provider in query.providers for job in self._shelves[provider].jobs.values()]
        places = {Place(codec.millis(job.created_at), job.id): job for job in held}
        since = codec.millis(query.since) if query.since is not None else None
        until = codec.millis(query.until) if query.until is not None else None
        chosen = [
            place
            for place in sorted(places, reverse=True)
            if (since is None or place.created >= since)
            and (until is None or place.created < until)
            and (query.after is None or place < query.after)
            and query.text in place.id
            and query.fits(places[place])
        ]
        some = chosen[: query.limit]
        jobs = tuple(self._read(self._shelves[places[place].provider], place.id) for place in some)
        return Page(jobs, some[-1] if len(chosen) > len(some) else None)

    def overview(self, providers: Sequence[str]) -> list[Overview]:
        """Where the jobs of providers stand."""
        found = []
        for provider in providers:
            shelf = self._shelves[provider]
            self._expire(shelf)
            created = [job.created_at for job in shelf.jobs.values() if not job.finished]
            gate = gate_of(self._now(), shelf.paused_until, shelf.failures)
            found.append(
                Overview(
                    provider,
                    counts=self.counts(provider),
                    oldest=codec.millis(min(created)) / 1000 if created else None,
                    latest=max((codec.millis(job.created_at) for job in shelf.jobs.values()), default=0) / 1000 or None,
                    due=sum(due <= self._now() for due in shelf.due.values()),
                    lateness=max(self._now() - min(shelf.due.values()), 0) / 1000 if shelf.due else 0.0,
                    bundles=sum(until > self._now() for until in shelf.bundles.values()),
                    gate=gate,
                    paused_until=self.paused_until(provider),
                    failures=shelf.failures,
                )
            )
        return found

    def reindex(self, provider: str, tell: Callable[[int], None] | None = None) -> int:
        """Nothing is ever out of order here. Returns how many jobs there are."""
        number = len(self._shelves[provider].jobs)
        if tell is not None and number:
            tell(number)
        return number

    def counts(self, provider: str) -> dict[JobState, int]:
        """How many jobs are in each state; of finished ones, how many ever got there."""
        return {state: number for state, number in self._shelves[provider].counts.items() if number}

    def events(self, provider: str, job_id: str | None = None) -> list[Event]:
        """The events still kept, oldest first."""
        if job_id is None:
            return list(self._shelves[provider].events)
        mine = [event for event in self._shelves[provider].events if event.job_id == job_id]
        begin = max((place for place, event in enumerate(mine) if event.source is None), default=0)
        return mine[begin:]

    def copied(self, jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        """Nobody has a copy of this memory."""
        return [replicas == 0 for _ in jobs]
