"""A guard for fail-overs behind Sentinel, with redis-py 8, kombu 5.7.0 and Celery 5.7.0.

A primary that steps down answers whoever waits in BRPOP with `UNBLOCKED`, and while it has too few replicas it refuses
writes with `NOREPLICAS`. redis-py takes both for the mistake of a caller: a stock worker exits with "Unrecoverable
error: ResponseError", and everybody else goes on asking a server that cannot help. Here they are what redis-py already
makes of `READONLY`: the connection is lost.

And a connection that was lost in the middle of a command is opened again to the same server as before, for as often as
it is tried again. Here the Sentinels are asked each time.

And a Sentinel that is gone is asked eleven times, for twenty seconds, before the next one is. Here each is asked once:
the next one is the second try.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from redis.asyncio import retry as asyncio_retry
from redis.asyncio import sentinel as asyncio_sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection

_NOT_THE_PRIMARY = ("UNBLOCKED", "NOREPLICAS", "MASTERDOWN")


def install() -> None:
    """Change every connection to Sentinels, and that they lead to, whoever opens it. Safe to call again."""
    _ask_once(Sentinel, Retry)
    _ask_once(asyncio_sentinel.Sentinel, asyncio_retry.Retry)
    connection: Any = SentinelManagedConnection
    if getattr(connection, "guarded", False):
        return
    read, send = connection.read_response, connection.send_packed_command

    @wraps(read)
    def read_response(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return read(self, *args, **options)
        except ResponseError as error:
            if not str(error).startswith(_NOT_THE_PRIMARY):
                raise
            self.disconnect()
            raise RedisConnectionError("this server is not the primary, or may not write") from error

    @wraps(send)
    def send_packed_command(self: Any, *args: Any, **options: Any) -> Any:
        if not self._sock:
            self._connect_retry()
        return send(self, *args, **options)

    connection.read_response, connection.send_packed_command = read_response, send_packed_command
    connection.guarded = True


def _ask_once(kind: Any, retry: Any) -> None:
    original = kind.__init__
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def begin(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        for one in self.sentinels:
            one.set_retry(retry(NoBackoff(), 0))

    begin.guarded = True  # type: ignore[attr-defined]
    kind.__init__ = begin
