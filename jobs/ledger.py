"""The ledger: the only truth about jobs. Messages are wake-up calls and may be lost or doubled.

Invariants, each with a property test:

1. Every unfinished job has exactly one wake-up time.
2. Every move is compare-and-set on (state, seq): whoever lost its claim cannot write.
3. Every move appends one event; the history of a job can be rebuilt from the events alone.
4. A finished job never moves again, unless a person reopens it.

It lives in Redis: a hash per job, a sorted set of wake-up times and a stream of events per provider. Every move is one
Lua script (`jobs/lua`). Works with Redis 6.2 or later, and Valkey. The parts, each in a module:

- `redis_store`: what they share: client, clock, keys, scripts
- `redis_records`: accept a job, read jobs
- `redis_moves`: claim jobs and move them
- `redis_gate`: pauses and turns of a provider
- `redis_notes`: what workers tell each other
- `redis_search`: find jobs without reading all of them

Here they are put together, with what people and pages ask: listings, counts, events.
"""

from __future__ import annotations

from jobs import codec
from jobs.ledger_types import Acceptance, Bundle, Claim, ClaimLimits, Event, Glance
from jobs.record import Job
from jobs.redis_gate import GateInRedis
from jobs.redis_moves import MovesInRedis
from jobs.redis_notes import NotesInRedis
from jobs.redis_search import SearchInRedis
from jobs.search import Query
from jobs.states import TERMINAL, JobState

__all__ = ["Acceptance", "Bundle", "Claim", "ClaimLimits", "Event", "Glance", "Ledger"]

#: Events of a stream in one round trip.
_EVENTS = 2000
#: The event of a job's end lies in the stream no later than so many milliseconds after it.
_SLACK = 5_000


class Ledger(SearchInRedis, MovesInRedis, GateInRedis, NotesInRedis):
    """Holds the jobs of all providers; what it takes is said in `RedisStore`. Every time is in seconds."""

    def jobs(self, provider: str, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The latest jobs of a provider, newest first.

        Raises:
            RecordTooNew: a newer version wrote the record of one; `find` leaves nobody out because of another.
        """
        states = frozenset() if state is None else frozenset({state})
        page = self.find(Query((provider,), states=states, limit=limit))
        for unreadable in page.unreadable:  # who asks for all would take the others for all
            raise unreadable.error()
        return list(page.jobs)

    def counts(self, provider: str) -> dict[JobState, int]:
        """How many jobs are in each state; of finished ones, how many ever got there."""
        return codec.to_counts(self._redis.hgetall(self._key(provider, "counts")))[0]

    def events(self, provider: str, job_id: str | None = None) -> list[Event]:
        """The events still kept, oldest first; of one job, without those of a forgotten one that had its id."""
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
