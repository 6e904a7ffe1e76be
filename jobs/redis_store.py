"""What every part of the ledger in Redis works with: the client, the clock, the names of keys, the scripts.

All keys of a provider carry one hash tag, so that providers can be sharded.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from redis import Redis

from jobs import codec
from jobs.clock import Clock, ServerClock

#: Scripts that begin with what `unlist.lua` defines.
_UNLISTING = ("accept", "claim")


class RedisStore:
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
        self._looked_at: dict[str, float] = {}  # when the index of a provider is to be looked at again
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
                "admit",
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

    def _owner(self, job_id: str) -> str:
        return f"{self._prefix}owner:{job_id}"
