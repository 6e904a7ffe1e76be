"""The ledger in Redis: a hash per job, a sorted set of wake-up times and a stream of events per provider.

Every move is one Lua script (`jobs/lua`). All keys of a provider carry one hash tag, so that providers can be sharded.
Works with Redis 6.2 or later, and Valkey.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import chain
from typing import Any, cast

from redis import Redis

from jobs import codec, pacing
from jobs.clock import Clock, ServerClock
from jobs.errors import JobNotFound, RecordTooNew
from jobs.learning import MEMORY
from jobs.ledger import NOTE_OUTLIVES, Acceptance, Bundle, Claim, ClaimLimits, Event, Glance
from jobs.pacing import Turn, Turns
from jobs.record import Announcement, Job, Move, Unreadable
from jobs.redis_search import RedisSearch, tags_of
from jobs.search import Overview, Page, Query
from jobs.states import IN_HAND, TERMINAL, JobState

logger = logging.getLogger(__name__)

#: Scripts that begin with what `unlist.lua` defines.
_UNLISTING = ("accept", "claim")
#: Events of a stream in one round trip.
_EVENTS = 2000
#: The event of a job's end lies in the stream no later than so many milliseconds after it.
_SLACK = 5_000

#: The keys of a claim, as its script wants them.
_CLAIMED = ("due", "gate", "bundles", "index", "done", "counts", "queue")

#: Moves in one call: Redis does nothing else meanwhile.
_AT_ONCE = 100


def _threes(answer: Sequence[Any]) -> range:
    return range(2, len(answer), 3)


class RedisLedger:
    """Jobs in Redis.

    Args:
        redis: a client with `decode_responses=True`.
        clock: tells the time; the server's, if not given.
        prefix: in front of every key.
        retention: seconds for which a finished job is kept.
        events_kept: about so many events are kept per provider.
        pause_limits: the shortest and the longest pause of a provider that fails in a row, in seconds.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        clock: Clock | None = None,
        prefix: str = "settle:",
        retention: float = 7 * 86400.0,
        events_kept: int = 100_000,
        pause_limits: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        # redis-py's stubs answer for its synchronous and asynchronous client at once.
        self._redis: Any = redis
        self._clock = clock or ServerClock(redis)
        self._prefix = prefix
        self._retention = codec.millis(retention)
        self._events_kept = events_kept
        self._pause_limits = pause_limits
        scripts = files("jobs") / "lua"
        unlist = (scripts / "unlist.lua").read_text()
        self._script: dict[str, Any] = {
            name: self._redis.register_script(
                (unlist if name in _UNLISTING else "") + (scripts / f"{name}.lua").read_text()
            )
            for name in (
                "accept",
                "move",
                "claim",
                "begin",
                "renew",
                "pause",
                "unpause",
                "slots",
                "close",
                "hasten",
                "learn",
                "forget",
                "remember",
                "index",
            )
        }
        self._search = RedisSearch(self._redis, self._script["index"], self._key, self._records)

    def now(self) -> float:
        """The time by the ledger's clock, in seconds since the epoch."""
        return self._clock.now()

    def _now(self) -> int:
        return codec.millis(self._clock.now())

    def _key(self, provider: str, *parts: str) -> str:
        return f"{self._prefix}{{{provider}}}:{':'.join(parts)}"

    def stream(self, provider: str) -> str:
        """The key of a provider's events, for whoever follows them."""
        return self._key(provider, "events")

    def ended(self, provider: str, since: float, until: float) -> list[str]:
        """The jobs that ended after one time, up to another, and are still kept; seconds since the epoch."""
        first, last = (codec.millis(at) + self._retention for at in (since, until))
        found: list[str] = self._redis.zrangebyscore(self._key(provider, "done"), f"({first}", last)
        return found

    def _owner(self, job_id: str) -> str:
        return f"{self._prefix}owner:{job_id}"

    def accept(self, job: Job, announcement: Announcement | None = None) -> Acceptance:
        """Record a job, once. Nothing changes unless the answer is `CREATED`."""
        return self.accept_all([(job, announcement)])[0]

    def accept_all(self, jobs: Sequence[tuple[Job, Announcement | None]]) -> list[Acceptance]:
        """Record jobs, each as `accept` does, with a few round trips for all of them."""
        if not jobs:
            return []
        # The owner key is a command of its own: it lies in another slot than the provider's keys. It is forgotten
        # after the job, and never before: no deadline bounds the time for which a job may wait for its workers. A
        # crash in between is healed by the next trigger.
        pipe = self._redis.pipeline(transaction=False)
        for job, _ in jobs:
            pipe.set(self._owner(job.id), job.provider, nx=True)
            pipe.get(self._owner(job.id))
        answers = pipe.execute()
        firsts, owners = answers[::2], answers[1::2]
        pipe = self._redis.pipeline(transaction=False)
        for (job, announcement), owner in zip(jobs, owners, strict=True):
            if owner == job.provider:
                self._add_accept(pipe, job, announcement)
        said = iter(pipe.execute())
        found = [
            Acceptance(next(said)) if owner == job.provider else Acceptance.CONFLICT
            for (job, _), owner in zip(jobs, owners, strict=True)
        ]
        for (job, _), first, answer in zip(jobs, firsts, found, strict=True):
            if answer is Acceptance.CREATED:
                self._keep_owner(job, first=bool(first))
        return found

    def _keep_owner(self, job: Job, *, first: bool) -> None:
        """A new job's owner key lives as long as the job."""
        if job.finished:
            self._redis.pexpire(self._owner(job.id), self._retention)
        elif not first:  # the owner of a forgotten job with the same id, about to be forgotten itself
            pipe = self._redis.pipeline(transaction=False)
            pipe.set(self._owner(job.id), job.provider, nx=True)
            pipe.persist(self._owner(job.id))
            pipe.execute()

    def _add_accept(self, pipe: Any, job: Job, announcement: Announcement | None) -> None:
        fields = [part for pair in codec.to_fields(job).items() for part in pair]
        self._script["accept"](
            keys=[
                self._key(job.provider, "job", job.id),
                self._key(job.provider, "due"),
                self._key(job.provider, "index"),
                self._key(job.provider, "events"),
                self._key(job.provider, "counts"),
                self._key(job.provider, "done"),
                announcement.key if announcement else "",
            ],
            args=[
                job.id,
                job.digest,
                job.state.value,
                codec.millis(job.created_at),
                codec.millis(job.due_at) if job.due_at is not None else "",
                self._retention,
                codec.event_data(job),
                self._events_kept,
                announcement.value if announcement else "",
                announcement.ttl if announcement else 0,
                tags_of(job),
                *fields,
            ],
            client=pipe,
        )

    def provider_of(self, job_id: str) -> str:
        """The provider under which an id is recorded.

        Raises:
            JobNotFound: no job has this id.
        """
        provider = self._redis.get(self._owner(job_id))
        if provider is None:
            raise JobNotFound(f"no job {job_id!r} in the ledger: never triggered, or past its retention")
        return cast("str", provider)

    def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no job has this id.
            RecordTooNew: a newer version wrote its record.
        """
        provider = self.provider_of(job_id)
        for found in self._records([(provider, job_id)]):
            if isinstance(found, Unreadable):
                raise found.error()
            return found
        raise JobNotFound(f"no job {job_id!r} in the ledger: past its retention")

    def read(self, job_ids: Sequence[str]) -> list[Job | Unreadable | None]:
        """Read jobs of any providers with two round trips, in this order; none for an id that is not recorded."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.get(self._owner(job_id))
        wanted = [(owner, job_id) for owner, job_id in zip(pipe.execute(), job_ids, strict=True) if owner is not None]
        found = {job.id: job for job in self._records(wanted)} if wanted else {}
        return [found.get(job_id) for job_id in job_ids]

    def newest(self, providers: Sequence[str], limit: int) -> list[str]:
        """The ids of the latest jobs of all these providers together, newest first, with one round trip."""
        return self._search.newest(providers, limit)

    def _records(self, wanted: Sequence[tuple[str, str]]) -> Iterator[Job | Unreadable]:
        """The jobs with these providers and ids, in this order; without those that are gone."""
        pipe = self._redis.pipeline(transaction=False)
        for provider, job_id in wanted:
            pipe.hgetall(self._key(provider, "job", job_id))
            pipe.zscore(self._key(provider, "due"), job_id)
        answers = pipe.execute()
        for (_, job_id), fields, due in zip(wanted, answers[::2], answers[1::2], strict=True):
            if fields:
                yield codec.read(job_id, fields, due / 1000 if due is not None else None)

    def glance(self, job_ids: Sequence[str]) -> list[Glance | None]:
        """Where jobs of any providers are, in this order; none for an id that is not recorded."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.get(self._owner(job_id))
        owners = pipe.execute()
        for job_id, owner in zip(job_ids, owners, strict=True):
            pipe.hmget(self._key(owner or "", "job", job_id), "state", "chain")
        return [codec.to_glance(state, chain) if state else None for state, chain in pipe.execute()]

    def claim(self, provider: str, limits: ClaimLimits) -> Bundle:
        """Take what is due, atomically, and push its wake-up times forward by the lease."""
        return self.claim_all({provider: limits})[provider]

    def claim_all(self, limits: Mapping[str, ClaimLimits]) -> dict[str, Bundle]:
        """Claim of each of these providers, with one round trip for all of them."""
        now, bundles = self._now(), {}
        pipe = self._redis.pipeline(transaction=False)
        names = [uuid.uuid4().hex[:12] for _ in limits]
        for name, (provider, own) in zip(names, limits.items(), strict=True):
            self._script["claim"](
                keys=[self._key(provider, part) for part in _CLAIMED],
                args=[
                    now,
                    codec.millis(own.lease),
                    name,
                    own.bundle_size,
                    own.bundles,
                    own.rate,
                    own.in_flight,
                    self._key(provider, "job", ""),
                ],
                client=pipe,
            )
        for name, provider, (wait, *flat) in zip(names, limits, pipe.execute(), strict=True):
            # One in a state of a newer version is left to its lease: that version's workers take it then.
            taken = [
                Claim(str(flat[i]), int(flat[i + 1]), state, int(flat[i + 3]) / 1000)
                for i in range(0, len(flat), 4)
                if (state := codec.to_state(flat[i + 2])) is not None
            ]
            bundles[provider] = Bundle(
                f"{name}|{len(flat) // 4}", tuple(taken), int(wait) / 1000 if int(wait) >= 0 else None
            )
        return bundles

    def begin(
        self, provider: str, wakes: Iterable[tuple[str, int | None]], states: Collection[JobState], lease: float
    ) -> list[Job]:
        """Start a stage on jobs in its states claimed since their last move; without `seq`, if nobody holds them."""
        flat = [part for job_id, seq in wakes for part in (job_id, "" if seq is None else seq)]
        now, length = self._now(), codec.millis(lease)
        answer = self._script["begin"](
            keys=[self._key(provider, "due")],
            args=[
                now,
                length,
                self._key(provider, "job", ""),
                f",{','.join(states)},",
                *flat,
            ],
        )
        due = (now + length) / 1000
        begun = []
        for job_id, pairs in answer:
            try:
                begun.append(codec.from_fields(job_id, dict(zip(pairs[::2], pairs[1::2], strict=True)), due))
            except RecordTooNew as error:  # written by a newer version: its workers take it when our lease is over
                logger.warning("record_too_new", extra={"fields": {"job_id": job_id, "reason": str(error)}})
        return begun

    def renew(self, job: Job, lease: float) -> bool:
        """Hold a job for another lease; false if it was lost to somebody else."""
        return bool(
            self._script["renew"](
                keys=[self._key(job.provider, "job", job.id), self._key(job.provider, "due")],
                args=[job.id, job.seq, self._now(), codec.millis(lease)],
            )
        )

    def write(self, moves: Sequence[Move]) -> list[Job | None]:
        """Write moves in one go; the job as it stands now, or none where somebody else moved it in between."""
        if not moves:
            return []
        done: dict[int, int] = {}
        by_provider: defaultdict[str, list[int]] = defaultdict(list)
        for number, move in enumerate(moves):
            by_provider[move.before.provider].append(number)
        for provider, numbers in by_provider.items():
            for start in range(0, len(numbers), _AT_ONCE):
                some = numbers[start : start + _AT_ONCE]
                done.update(zip(some, self._move(provider, [moves[number] for number in some]), strict=True))
        written = [
            replace(move.after, seq=move.before.seq + 1) if done[number] else None for number, move in enumerate(moves)
        ]
        if ended := [job.id for job in written if job is not None and job.state in TERMINAL]:
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ended:
                pipe.pexpire(self._owner(job_id), self._retention)
            pipe.execute()
        for move, job in zip(moves, written, strict=True):
            if job is not None and move.before.finished and not job.finished:  # reopened by a person
                self._redis.persist(self._owner(job.id))
        return written

    def _move(self, provider: str, moves: Sequence[Move]) -> list[int]:
        """Write moves of one provider; for each 1, or 0 where somebody else moved the job in between."""
        flat: list[Any] = []
        for move in moves:
            before, after, told = move.before, move.after, move.announcement
            changed, dropped = codec.changed_fields(move)
            due: int | str = codec.millis(after.due_at) if after.due_at is not None else ""
            flat += [
                11 + len(dropped) + 2 * len(changed),
                before.id,
                before.state.value,
                before.seq,
                after.state.value,
                due,
                due if after.state in IN_HAND else 0,
                codec.event_data(after) if move.news else "",
                told.key if told else "",
                told.value if told else "",
                told.ttl if told else 0,
                len(dropped),
                *dropped,
                *chain.from_iterable(changed.items()),
            ]
        answer: list[int] = self._script["move"](
            keys=[self._key(provider, part) for part in ("due", "events", "counts", "done", "index")],
            args=[self._now(), self._retention, self._events_kept, self._key(provider, "job", ""), *flat],
        )
        return answer

    def hasten(self, provider: str, job_ids: Sequence[str], spacing: float) -> int:
        """Bring the next look at jobs forward; returns for how many."""
        if not job_ids:
            return 0
        hastened: int = self._script["hasten"](
            keys=[self._key(provider, "due")],
            args=[self._now(), codec.millis(spacing), self._key(provider, "job", ""), *job_ids],
        )
        return hastened

    def keep_handles(self, provider: str, handles: Mapping[str, str], until: float) -> None:
        """Remember for a while which job each of a provider's own names means."""
        lifetime = max(codec.millis(until) - self._now(), 1)
        pipe = self._redis.pipeline(transaction=False)
        for handle, job_id in handles.items():
            pipe.set(self._key(provider, "handle", handle), job_id, px=lifetime)
        pipe.execute()

    def of_handles(self, provider: str, handles: Sequence[str]) -> list[str]:
        """The jobs that a provider's own names mean, as far as they are kept."""
        found = self._redis.mget([self._key(provider, "handle", handle) for handle in handles]) if handles else []
        return [job_id for job_id in found if job_id is not None]

    def copied(self, jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        """Whether each record stands in the ledger as it is here, and so many replicas of the ledger know it too."""
        # All on one connection, and so on one server: after a fail-over in between, another one would be asked that may
        # never have seen these records. WAIT counts from the last write of its own connection, hence the key.
        pipe = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipe.hmget(self._key(job.provider, "job", job.id), "state", "seq")
        pipe.set(self._key(jobs[0].provider, "copied"), self._now(), px=60_000)
        pipe.execute_command("WAIT", replicas, codec.millis(within))
        *records, _, reached = pipe.execute()
        return [
            int(reached) >= replicas and record == [job.state.value, str(job.seq)]
            for job, record in zip(jobs, records, strict=True)
        ]

    def close_bundle(self, provider: str, bundle: str) -> None:
        """A bundle is no longer outstanding."""
        self._script["close"](keys=[self._key(provider, "bundles"), self._key(provider, "gate")], args=[bundle])

    def pause(self, provider: str, seconds: float | None = None) -> float:
        """Close the provider's gate; without `seconds` longer with every call in a row. Returns until when."""
        shortest, longest = self._pause_limits
        until = self._script["pause"](
            keys=[self._key(provider, "gate")],
            args=[
                self._now(),
                codec.millis(seconds) if seconds is not None else "",
                codec.millis(shortest),
                codec.millis(longest),
            ],
        )
        return int(until) / 1000

    def unpause(self, provider: str) -> None:
        """The provider answers again: open the gate and forget the failures in a row, unless it is still closed."""
        self._script["unpause"](keys=[self._key(provider, "gate")], args=[self._now()])

    def open_gate(self, provider: str) -> None:
        """Open the provider's gate at once, whatever closed it."""
        self._redis.hdel(self._key(provider, "gate"), "paused_until", "failures", "probe")

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        """Turns to send one request each, for all workers together never more than `rate` in any second."""
        answer = self._script["slots"](
            keys=[self._key(provider, part) for part in ("gate", "sends", "queue")],
            args=[
                self._now(),
                rate,
                holder,
                wanted,
                pacing.GUARD,
                pacing.SURE,
                pacing.MOST,
                pacing.AHEAD,
                pacing.QUEUE_LIFETIME,
                *[part for token, arrived in over for part in (token, codec.millis(arrived))],
            ],
        )
        turns = [Turn(answer[i], float(answer[i + 1]) / 1000, float(answer[i + 2]) / 1000) for i in _threes(answer)]
        return Turns(tuple(turns), float(answer[0]) / 1000, closed=bool(answer[1]))

    def paused_until(self, provider: str) -> float:
        """When the provider's gate opens; 0 if it is open."""
        until = int(self._redis.hget(self._key(provider, "gate"), "paused_until") or 0)
        return until / 1000 if until > self._now() else 0.0

    def learn(self, provider: str, counts: Sequence[tuple[str, Mapping[int, float]]]) -> None:
        """Add to the histograms of how long jobs took: for each job its workflow, and its shares by bin."""
        args: list[Any] = [repr(1 + 1 / MEMORY)]
        for workflow, shares in counts:
            args += [workflow, len(shares), *[part for place, share in shares.items() for part in (place, repr(share))]]
        self._script["learn"](keys=[self._key(provider, "learnt")], args=args)

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        """The histograms by workflow; the latest job counts as one, older ones as less."""
        held = {field: float(value) for field, value in self._redis.hgetall(self._key(provider, "learnt")).items()}
        found: dict[str, dict[int, float]] = {}
        for field, value in held.items():
            workflow, _, place = field.rpartition("|")
            if place:
                found.setdefault(workflow, {})[int(place)] = value / held[f"{workflow}|"]
        return found

    def jobs(self, provider: str, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The latest jobs of a provider, newest first."""
        states = frozenset() if state is None else frozenset({state})
        page = self.find(Query((provider,), states=states, limit=limit))
        for unreadable in page.unreadable:  # who asks for all would take the others for all
            raise unreadable.error()
        return list(page.jobs)

    def find(self, query: Query) -> Page:
        """The jobs that are wanted, newest first, without reading the others."""
        return self._search.find(query)

    def overview(self, providers: Sequence[str]) -> list[Overview]:
        """Where the jobs of providers stand, in one round trip."""
        return self._search.overview(providers, self._now())

    def reindex(self, provider: str, tell: Callable[[int], None] | None = None) -> int:
        """Put what `find` searches in order, whatever an older version left behind. Returns how many jobs there are."""
        return self._search.reindex(provider, tell)

    def counts(self, provider: str) -> dict[JobState, int]:
        """How many jobs are in each state; of finished ones, how many ever got there."""
        return codec.to_counts(self._redis.hgetall(self._key(provider, "counts")))[0]

    def events(self, provider: str, job_id: str | None = None) -> list[Event]:
        """The events still kept, oldest first."""
        if job_id is None:
            return self._history(provider, None, "+")
        state, updated = self._redis.hmget(self._key(provider, "job", job_id), "state", "updated")
        # Nothing came after its end, unless another clock than the server's was used.
        ended = self._history(provider, job_id, str(int(updated) + _SLACK)) if state in TERMINAL else []
        return ended or self._history(provider, job_id, "+")

    def _history(self, provider: str, job_id: str | None, last: str) -> list[Event]:
        """Events up to a place in the stream, from the end and in pieces: that of a job is over where it began."""
        found: list[Event] = []
        while entries := self._redis.xrevrange(self._key(provider, "events"), max=last, count=_EVENTS):
            for _, fields in entries:
                if job_id is None or fields["job"] == job_id:
                    found.append(codec.to_event(fields))
                    if job_id is not None and not fields["from"]:
                        return found[::-1]
            last = f"({entries[-1][0]}"
        return found[::-1]

    def recall(self, provider: str, name: str) -> str | None:
        """A note that the workers of one provider share (a session, say)."""
        return cast("str | None", self._redis.hget(self._key(provider, "notes"), name))

    def remember(self, provider: str, name: str, value: str, *, of_job: str | None = None) -> str:
        """Leave a note unless there is one; returns the note in force."""
        if of_job is not None:
            held = self._script["remember"](
                keys=[self._key(provider, part) for part in ("notes", "done", "notes:until")],
                args=[name, value, of_job, self._now(), codec.millis(NOTE_OUTLIVES)],
            )
            return cast("str", held)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hsetnx(self._key(provider, "notes"), name, value)
        pipe.hget(self._key(provider, "notes"), name)
        return cast("str", pipe.execute()[1])

    def forget(self, provider: str, name: str, value: str) -> None:
        """Remove a note if it still has this value."""
        self._script["forget"](keys=[self._key(provider, "notes")], args=[name, value])

    def enter(self, provider: str, book: str, member: str, at: float, keep: float) -> None:
        """Write a member into a book under a time; what is older than `keep` seconds before that is forgotten."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.zadd(self._key(provider, "book", book), {member: codec.millis(at)})
        pipe.zremrangebyscore(self._key(provider, "book", book), "-inf", f"({codec.millis(at - keep)}")
        pipe.execute()

    def leave(self, provider: str, book: str, member: str) -> None:
        """Strike a member from a book."""
        self._redis.zrem(self._key(provider, "book", book), member)

    def entered(self, provider: str, book: str, since: float, until: float) -> dict[str, float]:
        """The members of a book in that time, both ends included, oldest first, with their times."""
        found = self._redis.zrangebyscore(
            self._key(provider, "book", book), codec.millis(since), codec.millis(until), withscores=True
        )
        return {member: at / 1000 for member, at in found}
