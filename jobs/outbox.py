"""The outbox of one target, a webhook's endpoint or a downstream task: what is to be delivered, in order per job.

A line per job: its first event is due at a time, those behind it wait. So a delivery that fails holds back only what
follows of the same job. Every change is one script, and a delivery has a token: of two processes that hold the same one
only the later is believed. All keys of a target carry one hash tag.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from jobs.clock import Clock
from jobs.codec import dump, millis
from jobs.events import JobEvent
from jobs.refusals import executed, refusal

#: The names of all targets that ever had an outbox.
TARGETS = "settle:targets"

#: Of deliveries that were given up: when, what, and why.
_GRAVES = ("dead", "letters", "reasons")
#: What stands in `state`, as numbers.
_COUNTED = ("waiting", "delivered", "failed", "disabled", "paused")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one target; whoever has taken it holds it for a lease.

    Args:
        event: as it is told.
        tries: how often it was tried before.
        token: of whoever has taken it.
    """

    event: JobEvent
    tries: int
    token: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery that was given up. `died_at` in seconds since the epoch."""

    event: JobEvent
    tries: int
    reason: str
    died_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a target stands. Times in seconds since the epoch, 0 for never."""

    waiting: int  #: deliveries
    dead: int  #: given up, and kept
    delivered: int  #: ever
    failed: int  #: tries, ever
    disabled_at: float  #: when it said that it is gone
    paused_until: float  #: it wants to be left alone until then


class Outbox:
    """The deliveries of one target.

    Args:
        redis: a client with `decode_responses=True`.
        name: of the target.
        clock: tells the time.
        keep: seconds for which a delivery that was given up is kept.
    """

    def __init__(self, redis: Redis, name: str, *, clock: Clock, keep: float) -> None:
        self.name = name
        self._redis: Any = redis
        self._clock, self._keep = clock, keep
        base = _base(name)
        self._at = f"{base}at"
        self._line, self._head = f"{base}line:", f"{base}head:"
        self._due, self._state, *self._graves = (f"{base}{part}" for part in ("due", "state", *_GRAVES))
        self._scripts = {
            what: self._redis.register_script((files("jobs") / "lua" / f"outbox_{what}.lua").read_text())
            for what in ("add", "take", "end", "replay")
        }

    def _now(self) -> int:
        return millis(self._clock.now())

    def begin(self, streams: Mapping[str, str]) -> None:
        """Know all streams: a new target begins with what happens from now on.

        Args:
            streams: the key of each provider's events.
        """
        self._redis.sadd(TARGETS, self.name)
        known = self._redis.hgetall(self._at)
        for provider, stream in streams.items():
            if provider not in known:
                try:
                    last = self._redis.xrevrange(stream, count=1)
                except ResponseError as error:
                    if refusal(error) is None:
                        raise
                    continue  # this provider begins when a person has mended its stream; the others go on
                self._redis.hsetnx(self._at, provider, last[0][0] if last else "0-0")

    def places(self) -> dict[str, str]:
        """How far each provider's events were read."""
        found: dict[str, str] = self._redis.hgetall(self._at)
        return found

    def add(self, provider: str, last: str, events: Sequence[tuple[str, JobEvent]]) -> int:
        """Add what was read of a stream, each event once, however often it is read.

        Args:
            provider: whose stream.
            last: the place of the last entry that was read.
            events: those that this target wants, each with its place.
        """
        told: list[Any] = [part for place, event in events for part in (place, event.job_id, event.text())]
        keys = [self._at, self._due, self._state]
        return int(self._scripts["add"](keys=keys, args=[provider, self._now(), self._line, last, *told]))

    def take(self, limit: int, lease: float) -> list[Delivery]:
        """Take what is to be delivered now, at most one event of each job.

        Args:
            limit: so many at most.
            lease: seconds after which others may take what has not come to an end.
        """
        token = uuid.uuid4().hex
        args: list[Any] = [self._now(), millis(lease), limit, self._line, self._head, token]
        found = self._scripts["take"](keys=[self._due, self._state], args=args)
        return [
            Delivery(JobEvent.model_validate_json(text), int(tries), token)
            for text, tries in zip(found[1::3], found[2::3], strict=True)
        ]

    def sent(self, delivery: Delivery) -> bool:
        """It has arrived: the next event of its job may go. False if somebody else has taken it in between."""
        return self._end(delivery, "sent")

    def later(self, delivery: Delivery, wait: float, *, pause: float | None = None) -> bool:
        """It did not arrive, and is tried again.

        Args:
            delivery: as it was taken.
            wait: seconds.
            pause: the seconds for which the target wants to be left alone altogether.
        """
        return self._end(delivery, "later", wait=wait, pause=pause)

    def dead(self, delivery: Delivery, reason: str) -> bool:
        """It did not arrive, and is given up: a person may replay it. The next event of its job may go."""
        return self._end(delivery, "dead", reason=dump({"tries": delivery.tries + 1, "reason": reason}))

    def gone(self, delivery: Delivery) -> bool:
        """The target said that it is gone: all its deliveries wait until a person enables it."""
        return self._end(delivery, "gone")

    def _end(
        self, delivery: Delivery, result: str, *, wait: float = 0.0, pause: float | None = None, reason: str = ""
    ) -> bool:
        now = self._now()
        event = delivery.event
        args: list[Any] = [now, self._line, self._head, event.job_id, delivery.token, result, now + millis(wait)]
        args += [now + millis(pause) if pause else "", event.id, reason, now - millis(self._keep)]
        return bool(self._scripts["end"](keys=[self._due, self._state, *self._graves], args=args))

    def letters(self) -> list[Letter]:
        """The deliveries that were given up, oldest first."""
        dead, letters, reasons = self._graves
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrange(dead, 0, -1, withscores=True)
        pipe.hgetall(letters)
        pipe.hgetall(reasons)
        order, texts, whys = pipe.execute()
        return [
            Letter(JobEvent.model_validate_json(texts[each]), died_at=at / 1000, **json.loads(whys[each]))
            for each, at in order
        ]

    def replay(self, letters: Sequence[Letter]) -> int:
        """Deliver these again, those of one job in their order. Returns how many were still there."""
        ordered = sorted((letter.event for letter in letters), key=lambda event: (event.job_id, event.seq))
        named = [part for event in ordered for part in (event.id, event.job_id)]
        keys = [self._due, self._state, *self._graves]
        return int(self._scripts["replay"](keys=keys, args=[self._now(), self._line, *named]))

    def enable(self) -> bool:
        """Deliver to this target again, whatever it said. Whether it was disabled or paused."""
        return bool(self._redis.hdel(self._state, "disabled", "paused"))

    def forget(self) -> None:
        """Nobody is to be told any more: what waits and what was given up goes, too."""
        lines = self._redis.zrange(self._due, 0, -1)
        pipe = self._redis.pipeline(transaction=True)
        pipe.srem(TARGETS, self.name)
        pipe.delete(*(f"{part}{job_id}" for part in (self._line, self._head) for job_id in lines), self._due)
        pipe.delete(self._at, self._state, *self._graves)
        pipe.execute()

    def standing(self) -> Standing:
        """Where it stands."""
        return _standings(self._redis, [self.name])[self.name]


def names(redis: Any) -> list[str]:
    """The names of all targets that have an outbox."""
    return sorted(redis.smembers(TARGETS))


def standings(redis: Any) -> dict[str, Standing]:
    """Where all targets stand, by name, with two round trips."""
    return _standings(redis, names(redis))


def unread_since(redis: Any, wanted: Sequence[str], streams: Mapping[str, str]) -> dict[str, float]:
    """When the oldest event happened that was not brought to a target yet, seconds since the epoch; 0 if there is none.

    Args:
        redis: a client with `decode_responses=True`.
        wanted: the names of targets.
        streams: the key of each provider's events.
    """
    pipe = redis.pipeline(transaction=False)
    for name in wanted:
        pipe.hgetall(_base(name) + "at")
    places = dict(zip(wanted, pipe.execute(), strict=True))
    asked = [(name, provider) for name in wanted for provider in streams if provider in places[name]]
    for name, provider in asked:
        pipe.xrange(streams[provider], f"({places[name][provider]}", "+", count=1)
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for (name, _), entries in zip(asked, executed(pipe), strict=True):
        if isinstance(entries, Exception):
            continue
        found[name] += [int(place.partition("-")[0]) / 1000 for place, _ in entries]
    return {name: min(times, default=0.0) for name, times in found.items()}


def _standings(redis: Any, wanted: Sequence[str]) -> dict[str, Standing]:
    pipe = redis.pipeline(transaction=False)
    for name in wanted:
        pipe.hmget(_base(name) + "state", *_COUNTED)
        pipe.zcard(_base(name) + _GRAVES[0])
    answers = pipe.execute()
    found = {}
    for name, state, dead in zip(wanted, answers[::2], answers[1::2], strict=True):
        waiting, delivered, failed, disabled, paused = (int(value or 0) for value in state)
        found[name] = Standing(waiting, int(dead), delivered, failed, disabled / 1000, paused / 1000)
    return found


def _base(name: str) -> str:
    """In front of all keys of a target."""
    return f"settle:{{to:{name}}}:"
