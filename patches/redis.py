"""redis-py behind Sentinel: fail-overs that it does not notice, and Sentinels that it waits for."""

from __future__ import annotations

from functools import wraps
from typing import Any

#: Begin of the errors by which a server says that it is not, or no longer, a primary that may write.
_NOT_THE_PRIMARY = ("UNBLOCKED", "NOREPLICAS", "MASTERDOWN")


def not_the_primary() -> None:
    """Take the refusals of a former primary for a lost connection, as redis-py takes `READONLY`.

    Defect: a primary that steps down answers BRPOP with `UNBLOCKED`, and refuses writes with `NOREPLICAS` while it has
    too few replicas. `SentinelManagedConnection.read_response` (redis/sentinel.py) raises a plain `ResponseError`: a
    stock worker exits with "Unrecoverable error" (celery/celery#7946, redis/redis#6420), and every other client goes on
    asking a server that cannot help.
    """
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import ResponseError
    from redis.sentinel import SentinelManagedConnection

    connection: Any = SentinelManagedConnection
    original = connection.read_response

    @wraps(original)
    def read_response(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return original(self, *args, **options)
        except ResponseError as error:
            if not str(error).startswith(_NOT_THE_PRIMARY):
                raise
            self.disconnect()
            raise RedisConnectionError("this server is not the primary, or may not write") from error

    connection.read_response = read_response


def ask_sentinels_again() -> None:
    """Ask the Sentinels for the primary whenever a lost connection is opened again.

    Defect: `send_packed_command` (redis/connection.py) opens a connection that was lost in the middle of a command by
    `connect_check_health`, past `SentinelManagedConnection.connect` and so to the same server as before, for as often
    as the command is tried again (redis/redis-py#3874).
    """
    from redis.sentinel import SentinelManagedConnection

    connection: Any = SentinelManagedConnection
    original = connection.send_packed_command

    @wraps(original)
    def send_packed_command(self: Any, *args: Any, **options: Any) -> Any:
        if not self._sock:
            self._connect_retry()
        return original(self, *args, **options)

    connection.send_packed_command = send_packed_command


def ask_each_sentinel_once() -> None:
    """Go on to the next Sentinel as soon as one does not answer.

    Defect: `Sentinel.__init__` (redis/sentinel.py, redis/asyncio/sentinel.py) makes its clients with redis-py's default
    retry, so a Sentinel that is gone is asked eleven times, for about twenty seconds, before the next one is. No
    upstream issue is known.
    """
    from redis.asyncio import retry as asyncio_retry
    from redis.asyncio import sentinel as asyncio_sentinel
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    _without_retries(Sentinel, Retry)
    _without_retries(asyncio_sentinel.Sentinel, asyncio_retry.Retry)


def _without_retries(kind: Any, retry: Any) -> None:
    from redis.backoff import NoBackoff

    original = kind.__init__

    @wraps(original)
    def begin(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        for sentinel in self.sentinels:
            sentinel.set_retry(retry(NoBackoff(), 0))

    kind.__init__ = begin
