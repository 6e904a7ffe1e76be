"""A guard for a crash of Celery 5.7.0 with kombu 5.7.0 and redis-py 8.

When the Redis connection drops, Celery's consumer closes the connection a second time; if the worker holds an
unacknowledged message, kombu then asks a detached channel for its connection parameters and the worker process exits
with `AttributeError: 'NoneType' object has no attribute 'hostname'`. Nobody catches that; a connection error everybody
does. The message itself comes back by the visibility timeout, and the job long before that by its lease.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


def install() -> None:
    """Make a detached channel raise a connection error. Safe to call again."""
    channel: Any = transport.Channel
    original = channel._connparams
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def connparams(self: Any, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel has lost its connection")
        return original(self, *args, **options)

    connparams.guarded = True  # type: ignore[attr-defined]
    channel._connparams = connparams
