"""What the workers of a provider share in Redis beside its jobs: notes, books, its names for jobs, what was learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from jobs import codec
from jobs.learning import MEMORY
from jobs.redis_store import RedisStore

#: A note of a job is kept for so much longer than the job: whoever has just read the job still finds it. Seconds.
NOTE_OUTLIVES = 3600.0


class NotesInRedis(RedisStore):
    """Keeps what workers tell each other."""

    def recall(self, provider: str, name: str) -> str | None:
        """A note that the workers of one provider share (a session, say)."""
        return cast("str | None", self._redis.hget(self._key(provider, "notes"), name))

    def remember(self, provider: str, name: str, value: str, *, of_job: str | None = None) -> str:
        """Leave a note unless there is one; returns the note in force.

        Args:
            provider: whose workers share it.
            name: of the note.
            value: its text.
            of_job: a finished job that it concerns: it is kept for longer than that job, and forgotten after it.
        """
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

    def keep_handles(self, provider: str, handles: Mapping[str, str], until: float) -> None:
        """Remember which job each of a provider's own names means, until a time: for notifications that know no id."""
        lifetime = max(codec.millis(until) - self._now(), 1)
        pipe = self._redis.pipeline(transaction=False)
        for handle, job_id in handles.items():
            pipe.set(self._key(provider, "handle", handle), job_id, px=lifetime)
        pipe.execute()

    def of_handles(self, provider: str, handles: Sequence[str]) -> list[str]:
        """The jobs that a provider's own names mean, as far as they are kept."""
        found = self._redis.mget([self._key(provider, "handle", handle) for handle in handles]) if handles else []
        return [job_id for job_id in found if job_id is not None]

    def learn(self, provider: str, counts: Sequence[tuple[str, Mapping[int, float]]]) -> None:
        """Add to the histograms of how long jobs took: for each job its workflow, and its shares by bin."""
        args: list[Any] = [repr(1 + 1 / MEMORY)]
        for workflow, shares in counts:
            args += [workflow, len(shares), *[part for place, share in shares.items() for part in (place, repr(share))]]
        self._script["learn"](keys=[self._key(provider, "learnt")], args=args)

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        """The histograms by workflow; the latest job counts as one, older ones as less (`jobs.learning`)."""
        held = {field: float(value) for field, value in self._redis.hgetall(self._key(provider, "learnt")).items()}
        found: dict[str, dict[int, float]] = {}
        for field, value in held.items():
            workflow, _, place = field.rpartition("|")
            if place:
                found.setdefault(workflow, {})[int(place)] = value / held[f"{workflow}|"]
        return found
