"""The ledger in memory: the double for unit tests. It passes the same suite as `RedisLedger`."""

from __future__ import annotations

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from jobs import codec
from jobs.clock import Clock, SystemClock
from jobs.errors import JobNotFound
from jobs.learning import MEMORY
from jobs.ledger import NOTE_OUTLIVES, Acceptance, Bundle, Claim, ClaimLimits, Event, Glance
from jobs.pacing import Tokens, Turns
from jobs.record import Announcement, Job, Move, Unreadable
from jobs.search import Overview, Page, Place, Query, gate_of
from jobs.states import IN_HAND, JobState


class _Shelf:
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
        self.sends = Tokens()
        self.learnt: dict[str, dict[int, float]] = {}
        self.weight: defaultdict[str, float] = defaultdict(lambda: 1.0)


class MemoryLedger:
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
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._owners: dict[str, str] = {}
        self.announced: dict[str, Announcement] = {}  #: the latest announcement under each key

    def now(self) -> float:
        """The time by the ledger's clock, in seconds since the epoch."""
        return self._clock.now()

    def _now(self) -> int:
        return codec.millis(self._clock.now())

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

    @staticmethod
    def _stored(job: Job) -> Job:
        """The job as it reads after a round trip through its stored form."""
        fields = {"state": job.state.value, "seq": str(job.seq), "digest": job.digest, **codec.to_fields(job)}
        return codec.from_fields(job.id, fields, job.due_at)

    def _schedule(self, shelf: _Shelf, job: Job) -> None:
        if job.due_at is not None:
            shelf.due[job.id] = codec.millis(job.due_at)
            shelf.done.pop(job.id, None)  # reopened by a person
        else:
            shelf.due.pop(job.id, None)
            shelf.done[job.id] = self._now() + self._retention

    def _tell(
        self,
        shelf: _Shelf,
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

    @staticmethod
    def _read(shelf: _Shelf, job_id: str) -> Job:
        due = shelf.due.get(job_id)
        return replace(shelf.jobs[job_id], due_at=due / 1000 if due is not None else None)

    def _expire(self, shelf: _Shelf) -> None:
        for job_id in [job_id for job_id, end in shelf.done.items() if end <= self._now()]:
            del shelf.jobs[job_id], shelf.done[job_id], shelf.lease[job_id], shelf.floor[job_id], self._owners[job_id]
            shelf.hastened.pop(job_id, None)

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

    def claim(self, provider: str, limits: ClaimLimits) -> Bundle:
        """Take what is due, atomically, and push its wake-up times forward by the lease."""
        shelf, now, name = self._shelves[provider], self._now(), uuid.uuid4().hex[:12]
        self._expire(shelf)
        if shelf.paused_until > now:
            return Bundle(f"{name}|0", (), (shelf.paused_until - now) / 1000)
        size = limits.bundle_size
        if shelf.failures:
            if shelf.probe_until > now:
                return Bundle(f"{name}|0", (), (shelf.probe_until - now) / 1000)
            size = 1
        shelf.bundles = {member: end for member, end in shelf.bundles.items() if end > now}
        flying = sum(int(member.rpartition("|")[2]) for member in shelf.bundles)
        if len(shelf.bundles) >= limits.bundles or (limits.in_flight and flying >= limits.in_flight):
            return Bundle(f"{name}|0", (), min(10, *(end - now for end in shelf.bundles.values())) / 1000)
        if limits.in_flight:
            size = min(size, limits.in_flight - flying)
        tokens = 0.0
        if limits.rate:
            if shelf.sends.waiting(now) >= max(1, limits.rate / 5):
                return Bundle(f"{name}|0", (), 0.05)
            burst = max(2.0, limits.rate / 10)
            held, at = shelf.tokens or (burst, now)
            tokens = min(burst, held + (now - at) * limits.rate * 1.1 / 1000)
            if tokens < 1:
                wait = math.ceil((burst / 2 - tokens) * 1000 / (limits.rate * 1.1))
                return Bundle(f"{name}|0", (), wait / 1000)
            size = min(size, int(tokens))
        due = sorted((at, job_id) for job_id, at in shelf.due.items() if at <= now)[:size]
        taken = [self._raise(shelf, job_id, limits.lease) for _, job_id in due]
        claims = tuple(Claim(job.id, job.seq, job.state, at / 1000) for job, (at, _) in zip(taken, due, strict=True))
        if claims:
            shelf.bundles[f"{name}|{len(claims)}"] = now + codec.millis(limits.lease)
            if limits.rate:
                shelf.tokens = (tokens - len(claims), now)
        if shelf.failures and any(job.state not in (JobState.VERIFYING, JobState.EMITTING) for job in taken):
            shelf.probe_until = now + codec.millis(limits.lease)
            shelf.prober = f"{name}|1" if taken[0].state is not JobState.FETCHING else ""
        next_due = max(0, min(shelf.due.values()) - now) / 1000 if shelf.due else None
        return Bundle(f"{name}|{len(claims)}", claims, next_due)

    def _raise(self, shelf: _Shelf, job_id: str, lease: float) -> Job:
        shelf.jobs[job_id] = replace(shelf.jobs[job_id], seq=shelf.jobs[job_id].seq + 1)
        shelf.due[job_id] = self._now() + codec.millis(lease)
        return self._read(shelf, job_id)

    def _hold(self, shelf: _Shelf, job_id: str, lease: float) -> Job:
        job = self._raise(shelf, job_id, lease)
        shelf.lease[job_id], shelf.floor[job_id] = shelf.due[job_id], job.seq
        return job

    def claim_all(self, limits: Mapping[str, ClaimLimits]) -> dict[str, Bundle]:
        """Claim of each of these providers."""
        return {provider: self.claim(provider, own) for provider, own in limits.items()}

    def begin(
        self, provider: str, wakes: Iterable[tuple[str, int | None]], states: Collection[JobState], lease: float
    ) -> list[Job]:
        """Start a stage on jobs in its states claimed since their last move; without `seq`, if nobody holds them."""
        shelf = self._shelves[provider]
        begun = []
        for job_id, seq in wakes:
            job = shelf.jobs.get(job_id)
            if job is None or job_id not in shelf.due or job.state not in states:
                continue
            free = shelf.lease[job_id] <= self._now() if seq is None else shelf.floor[job_id] < seq <= job.seq
            if free:
                begun.append(self._hold(shelf, job_id, lease))
        return begun

    def renew(self, job: Job, lease: float) -> bool:
        """Hold a job for another lease; false if it was lost to somebody else."""
        shelf = self._shelves[job.provider]
        if job.id not in shelf.due or shelf.jobs[job.id].seq != job.seq:
            return False
        shelf.lease[job.id] = shelf.due[job.id] = self._now() + codec.millis(lease)
        return True

    def write(self, moves: Sequence[Move]) -> list[Job | None]:
        """Write moves in one go; the job as it stands now, or none where somebody else moved it in between."""
        return [self._write(move) for move in moves]

    def _write(self, move: Move) -> Job | None:
        shelf, before = self._shelves[move.before.provider], move.before
        held = shelf.jobs.get(before.id)
        if held is None or (held.state, held.seq) != (before.state, before.seq):
            return None
        after = self._stored(replace(move.after, seq=before.seq + 1))
        shelf.jobs[after.id] = after
        if before.state != after.state:
            shelf.counts[before.state] -= 1
            shelf.counts[after.state] += 1
        self._schedule(shelf, after)
        again = shelf.again.pop(after.id, None)
        if again is not None and before.state is after.state is JobState.POLLING and after.wish is None:
            shelf.due[after.id] = min(shelf.due[after.id], max(self._now(), again))
        shelf.floor[after.id] = after.seq
        shelf.lease[after.id] = shelf.due[after.id] if after.state in IN_HAND else 0
        self._tell(shelf, before.state, after, move.announcement, news=move.news)
        return after

    def hasten(self, provider: str, job_ids: Sequence[str], spacing: float) -> int:
        """Bring the next look at jobs forward; returns for how many."""
        shelf, now, hastened = self._shelves[provider], self._now(), 0
        for job_id in job_ids:
            job = shelf.jobs.get(job_id)
            if job is None or shelf.due.get(job_id, 0) <= now or job.state is not JobState.POLLING or job.wish:
                continue
            if job.seq != shelf.floor[job_id]:  # claimed, and so about to be looked at
                continue
            look = max(now, shelf.hastened[job_id] + codec.millis(spacing)) if job_id in shelf.hastened else now
            if shelf.lease[job_id] > now:
                if job_id in shelf.again:
                    continue
                shelf.again[job_id] = look
            elif look < shelf.due[job_id]:
                shelf.due[job_id] = look
            else:
                continue
            shelf.hastened[job_id] = look
            hastened += 1
        return hastened

    def keep_handles(self, provider: str, handles: Mapping[str, str], until: float) -> None:
        """Remember for a while which job each of a provider's own names means."""
        end = max(codec.millis(until), self._now() + 1)
        self._shelves[provider].handles |= {handle: (job_id, end) for handle, job_id in handles.items()}

    def of_handles(self, provider: str, handles: Sequence[str]) -> list[str]:
        """The jobs that a provider's own names mean, as far as they are kept."""
        known = self._shelves[provider].handles
        return [known[handle][0] for handle in handles if handle in known and known[handle][1] > self._now()]

    def copied(self, jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        """Nobody has a copy of this memory."""
        return [replicas == 0 for _ in jobs]

    def close_bundle(self, provider: str, bundle: str) -> None:
        """A bundle is no longer outstanding."""
        shelf = self._shelves[provider]
        shelf.bundles.pop(bundle, None)
        if bundle == shelf.prober:
            shelf.probe_until = 0

    def pause(self, provider: str, seconds: float | None = None) -> float:
        """Close the provider's gate; without `seconds` longer with every call in a row. Returns until when."""
        shelf = self._shelves[provider]
        shelf.failures += 0 if shelf.paused_until > self._now() else 1
        shortest, longest = self._pause_limits
        pause = seconds if seconds is not None else min(shortest * 2 ** max(min(shelf.failures - 1, 20), 0), longest)
        shelf.paused_until = max(self._now() + codec.millis(pause), shelf.paused_until)
        shelf.probe_until = 0
        return shelf.paused_until / 1000

    def unpause(self, provider: str) -> None:
        """The provider answers again: open the gate and forget the failures in a row, unless it is still closed."""
        shelf = self._shelves[provider]
        if shelf.paused_until <= self._now():
            shelf.failures = shelf.probe_until = 0

    def open_gate(self, provider: str) -> None:
        """Open the provider's gate at once, whatever closed it."""
        shelf = self._shelves[provider]
        shelf.paused_until = shelf.failures = shelf.probe_until = 0

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        """Turns to send one request each, for all workers together never more than `rate` in any second."""
        shelf = self._shelves[provider]
        told = [(token, codec.millis(arrived)) for token, arrived in over]
        return shelf.sends.hand_out(self._now(), rate, holder, wanted, told, shelf.paused_until)

    def paused_until(self, provider: str) -> float:
        """When the provider's gate opens; 0 if it is open."""
        until = self._shelves[provider].paused_until
        return until / 1000 if until > self._now() else 0.0

    def learn(self, provider: str, counts: Sequence[tuple[str, Mapping[int, float]]]) -> None:
        """Add to the histograms of how long jobs took: for each job its workflow, and its shares by bin."""
        shelf = self._shelves[provider]
        for workflow, shares in counts:
            weight = shelf.weight[workflow] = shelf.weight[workflow] * (1 + 1 / MEMORY)
            held = shelf.learnt.setdefault(workflow, {})
            for place, share in shares.items():
                held[place] = held.get(place, 0.0) + weight * share
            if weight > 1e100:
                shelf.learnt[workflow] = {place: value / weight for place, value in held.items()}
                shelf.weight[workflow] = 1.0

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        """The histograms by workflow; the latest job counts as one, older ones as less."""
        shelf = self._shelves[provider]
        return {
            workflow: {place: value / shelf.weight[workflow] for place, value in held.items()}
            for workflow, held in shelf.learnt.items()
            if held
        }

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

    def recall(self, provider: str, name: str) -> str | None:
        """A note that the workers of one provider share (a session, say)."""
        return self._shelves[provider].notes.get(name)

    def remember(self, provider: str, name: str, value: str, *, of_job: str | None = None) -> str:
        """Leave a note unless there is one; returns the note in force."""
        shelf, now = self._shelves[provider], self._now()
        if of_job is not None:
            for old in [old for old, until in shelf.until.items() if until <= now]:
                shelf.notes.pop(old, None)
                del shelf.until[old]
            until = max(shelf.done.get(of_job, now), now) + codec.millis(NOTE_OUTLIVES)
            shelf.until[name] = max(until, shelf.until.get(name, 0))
        return shelf.notes.setdefault(name, value)

    def forget(self, provider: str, name: str, value: str) -> None:
        """Remove a note if it still has this value."""
        if self.recall(provider, name) == value:
            del self._shelves[provider].notes[name]

    def enter(self, provider: str, book: str, member: str, at: float, keep: float) -> None:
        """Write a member into a book under a time; what is older than `keep` seconds before that is forgotten."""
        held = self._shelves[provider].books[book]
        held[member] = codec.millis(at)
        for old in [name for name, time in held.items() if time < codec.millis(at - keep)]:
            del held[old]

    def leave(self, provider: str, book: str, member: str) -> None:
        """Strike a member from a book."""
        self._shelves[provider].books[book].pop(member, None)

    def entered(self, provider: str, book: str, since: float, until: float) -> dict[str, float]:
        """The members of a book in that time, both ends included, oldest first, with their times."""
        held = sorted((at, member) for member, at in self._shelves[provider].books[book].items())
        return {member: at / 1000 for at, member in held if codec.millis(since) <= at <= codec.millis(until)}
