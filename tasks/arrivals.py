"""Tells when something arrives in a queue, so that nobody has to look at it many times a second: Redis says it itself.

`CLIENT TRACKING` is meant for caches: whoever has read a key is told, once, when it changes. Here a thread reads the
length of the queue and waits to be told. It only brings the next look forward: where Redis does not know the command,
does not allow it or is away, `listening` is false, and looking often does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

#: Between two tries, and between two looks at whether the connection still lives, seconds.
_AGAIN = 5.0
#: Many arrivals in this time are told once, seconds.
_PAUSE = 0.01


class Arrivals(threading.Thread):
    """Listens to one queue.

    Args:
        redis: a client of the broker that speaks RESP3 (`protocol=3`), and is used for nothing else.
        queue: the list that clients push to.
        tell: called, in this thread, when there is something in the queue.
    """

    def __init__(self, redis: Redis, queue: str, tell: Callable[[], object]) -> None:
        super().__init__(name="settle-arrivals", daemon=True)
        self._redis: Any = redis
        self._queue = queue
        self._tell = tell
        self._over = threading.Event()
        self.listening = False

    def stop(self) -> None:
        """Listen no more. Does not wait for the thread, which ends within seconds."""
        self._over.set()

    def run(self) -> None:
        """Listen until stopped, also after a connection was lost."""
        while not self._over.is_set():
            try:
                self._listen()
            except RedisError as error:
                logger.debug("arrivals_unheard", extra={"fields": {"error": type(error).__name__}})
            finally:
                self.listening = False
            self._over.wait(_AGAIN)
        self._redis.close()

    def _listen(self) -> None:
        connection = self._redis.connection_pool.get_connection()
        try:
            self._ask(connection, "CLIENT", "TRACKING", "ON")
            while not self._over.is_set():
                waiting = self._ask(connection, "LLEN", self._queue)
                self.listening = True
                if waiting:
                    self._tell()
                    self._over.wait(_PAUSE)
                if connection.can_read(timeout=_AGAIN):
                    connection.read_response(push_request=True)
        finally:
            connection.disconnect()
            self._redis.connection_pool.release(connection)

    @staticmethod
    def _ask(connection: Any, *command: str) -> Any:
        connection.send_command(*command)
        return connection.read_response()
