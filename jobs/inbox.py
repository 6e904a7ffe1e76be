"""The inbox: triggers are taken from their queue and booked in one step, so that none is ever nowhere.

A stock Celery worker on Redis pops a message and books it afterwards: if it dies in between, the message is gone
without a trace, and if it dies right after, it waits for the visibility timeout. Here it waits for the lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis import Redis

from jobs.clock import Clock
from jobs.codec import millis


class Inbox:
    """One queue of triggers in Redis.

    Args:
        redis: a client of the broker with `decode_responses=True`.
        queue: the list that clients push to.
        lease: seconds after which a message that was taken but not done is taken again.
        clock: tells the time.
        prefix: in front of the keys of the book.
    """

    def __init__(self, redis: Redis, queue: str, *, lease: float, clock: Clock, prefix: str = "settle:") -> None:
        self._redis: Any = redis
        self._lease = lease
        self._clock = clock
        book = f"{prefix}inbox:{queue}"
        self._keys = [queue, f"{book}:held", f"{book}:leases", f"{book}:counter"]
        self._refused = f"{book}:refused"
        self._receive = self._redis.register_script((files("jobs") / "lua" / "receive.lua").read_text())

    def take(self, limit: int) -> list[tuple[str, str]]:
        """Take at most so many messages: a token and the text of each."""
        answer = self._receive(keys=self._keys, args=[millis(self._clock.now()), millis(self._lease), limit])
        return list(zip(answer[::2], answer[1::2], strict=True))

    def held(self) -> int:
        """How many messages are taken and not done."""
        return int(self._redis.hlen(self._keys[1]))

    def done(self, tokens: Sequence[str]) -> None:
        """These messages have become jobs, or never will: forget them."""
        if tokens:
            pipe = self._redis.pipeline(transaction=True)
            pipe.hdel(self._keys[1], *tokens)
            pipe.zrem(self._keys[2], *tokens)
            pipe.execute()

    def refuse(self, token: str, reason: str, *, kept: int = 1000) -> None:
        """Nobody here can do anything with this message: remember why, not what, and forget it."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.lpush(self._refused, reason)
        pipe.ltrim(self._refused, 0, kept - 1)
        pipe.hdel(self._keys[1], token)
        pipe.zrem(self._keys[2], token)
        pipe.execute()
