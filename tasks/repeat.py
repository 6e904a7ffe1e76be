"""A bootstep that looks again and again, on the timer of the worker's consumer: the clock and the intake are two."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import Any

from celery import bootsteps
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config import metrics
from jobs.refusals import DOCTOR, Causes, refusal
from providers.errors import scrub

logger = logging.getLogger(__name__)

#: After a look that found the ledger or the broker away, seconds.
_AFTER_TROUBLE = 1.0


class Repeating(bootsteps.StartStopStep):
    """Looks, and looks again after the seconds that the look asked for. Shares a thread with the worker's heartbeat."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    #: In front of the names of its log lines.
    what = ""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._entry: Any = None
        self._running = False
        self._consumer = consumer
        self._looking = False
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._causes = Causes()

    def prepare(self, consumer: Any) -> None:
        """Get ready for the first look."""

    def look(self) -> float:
        """Look once. Returns the seconds until the next look."""
        raise NotImplementedError

    def start(self, consumer: Any) -> None:
        """Begin to look; again after each reconnection to the broker."""
        if consumer.hub is not None:
            self._bell = socket.socketpair()
            for end in self._bell:
                end.setblocking(False)
            consumer.hub.add_reader(self._bell[0], self._rung, self._bell[0])
        self.prepare(consumer)
        self._running = True
        logger.info("%s_started", self.what)
        self._schedule(consumer, 0.0)

    def stop(self, consumer: Any) -> None:
        """Stop looking; other workers go on."""
        self._running = False
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None
        if self._bell is not None:
            consumer.hub.remove(self._bell[0])
            for end in self._bell:
                end.close()
            self._bell = None

    shutdown = stop

    def nudge(self) -> None:
        """Look at once instead of later. Only from the thread of the worker's consumer."""
        if self._running and not self._looking:
            self._entry.cancel()
            self._schedule(self._consumer, 0.0)

    def nudge_soon(self) -> None:
        """As `nudge`, from any thread. Without an event loop (pools of green threads) the next look comes in time."""
        if (bell := self._bell) is not None:
            with suppress(OSError):  # full, so it was rung already; or closed, so nobody looks any more
                bell[1].send(b"!")

    def _rung(self, bell: socket.socket) -> None:
        with suppress(OSError):
            bell.recv(4096)
        self.nudge()

    def _schedule(self, consumer: Any, seconds: float) -> None:
        if self._running:
            self._entry = consumer.timer.call_after(seconds, self._look, (consumer,))

    def _tell(self, error: Exception) -> None:
        """Log an outage each time, and once what is refused each time until a person mends it."""
        fields = {"error": type(error).__name__}
        if (reason := refusal(error)) is not None:
            fields |= {"reason": scrub(reason), "remedy": DOCTOR}
            if not self._causes.news(self.what, reason):
                return
        logger.warning("%s_waits", self.what, extra={"fields": fields})

    def _look(self, consumer: Any) -> None:
        wait, self._looking = _AFTER_TROUBLE, True
        failed = True
        try:
            wait = self.look()
            failed = False
            self._causes.over(self.what)
        except (RedisError, OperationalError, OSError) as error:
            self._tell(error)
        except Exception:
            logger.exception("%s_failed", self.what)
        finally:
            self._looking = False
            metrics.looked(self.what, failed=failed)
            self._schedule(consumer, wait)
