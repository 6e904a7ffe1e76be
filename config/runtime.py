"""What one worker process shares: settings, ledger, storage, providers, and one event loop for all HTTP calls.

Everything is made on first use, and made anew in a forked child.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import wait
from functools import cached_property
from typing import Any, TypeVar

import uvloop
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from config import servers
from config.settings import CoreSettings, settings
from config.watching import watch
from jobs.clock import Clock, ServerClock
from jobs.ledger import Ledger
from jobs.plans import Plans
from jobs.record import Job
from jobs.refusals import Causes
from jobs.storage import Storage
from providers import discover
from providers.base import Provider
from providers.settings import ProviderSettings

T = TypeVar("T")


class EventLoop:
    """One event loop (uvloop's: a tenth less CPU per poll) in a thread of its own, as long as the process lives."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="settle-http", daemon=True)
                self._thread.start()
            return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it, from any other thread."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        thread = self._thread
        try:
            while not wait([future], timeout=5).done:
                if thread is None or not thread.is_alive():
                    raise RuntimeError("the event loop died")
            return future.result()
        except BaseException:  # a cold shutdown, say: nobody waits for the answers any more
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop, if it ever began."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()


class Runtime:
    """The shared things of one process.

    Args:
        settings: as configured.
        ledger: another ledger than the configured Redis, for tests.
        clock: another clock, for tests.
        retries: how often a lost connection to Redis is tried again before it is an error.
    """

    def __init__(
        self, settings: CoreSettings, *, ledger: Ledger | None = None, clock: Clock | None = None, retries: int = 6
    ) -> None:
        self.settings = settings
        self.loop = EventLoop()
        self.causes = Causes()
        self._retries = retries
        self._providers: dict[str, Provider] = {}
        self._making = threading.Lock()
        if ledger is not None:
            self.ledger = ledger
        if clock is not None:
            self.clock = clock

    @cached_property
    def redis(self) -> Redis:
        """The client of the ledger. Every script is safe to repeat: a move that was written twice is fenced."""
        return servers.client(
            self.settings,
            self.settings.redis(),
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=5,
            socket_keepalive=True,
            health_check_interval=30,
            retry=Retry(
                ExponentialWithJitterBackoff(cap=2, base=0.1),
                self._retries,
                supported_errors=(RedisConnectionError, RedisTimeoutError),
            ),
        )

    @cached_property
    def clock(self) -> Clock:
        """The clock that all workers share."""
        return ServerClock(self.redis)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(
            self.redis,
            clock=self.clock,
            retention=self.settings.retention,
            events_kept=self.settings.events_kept,
        )

    @cached_property
    def storage(self) -> Storage:
        """Where artifacts go."""
        return Storage(self.settings.storage())

    @cached_property
    def plans(self) -> Plans:
        """When to look at jobs, by what finished ones have taught."""
        return Plans(self.ledger, self.clock)

    def planned(self, own: ProviderSettings, job: Job, now: float) -> float | None:
        """Seconds until the next planned look at a job; none if nothing is learnt, or nothing shall be."""
        if not own.poll_learn:
            return None
        age = now - (job.submitted_at or now)
        return self.plans.wait(job.provider, job.workflow, job.id, age, own.poll_policy(), own.delay_wanted)

    def provider(self, name: str) -> Provider:
        """A provider, ready to be called on the loop.

        Raises:
            ConfigurationError: it is not configured.
        """
        if name not in self._providers:
            with self._making:  # else of two threads each makes one, and one of the two is never closed
                if name not in self._providers:
                    self._providers[name] = self._made(name)
        return self._providers[name]

    def _made(self, name: str) -> Provider:
        made = discover()[name](self.settings.provider(name), self.ledger)
        made.files = self._stored
        if hasattr(made, "http"):  # a provider without an API has none
            made.http.watch = watch(name, self.settings, made.settings)
        return made

    def _stored(self, uri: str) -> Iterator[bytes]:
        return self.storage.chunks(uri)

    def close(self) -> None:
        """Close every connection to a provider, and end the loop."""

        async def _close() -> None:
            for provider in self._providers.values():
                await provider.close()

        if self._providers:
            self.loop.run(_close())
            self._providers.clear()
        self.loop.stop()


_current: Runtime | None = None
_making = threading.Lock()

#: How often this process tries again to reach a Redis that is away.
_retries = 6


def runtime() -> Runtime:
    """The runtime of this process."""
    global _current
    if (found := _current) is not None:
        return found
    with _making:  # threads begin their first tasks side by side
        if _current is None:
            _current = Runtime(settings(), retries=_retries)
        return _current


def be_patient() -> None:
    """Outlast a fail-over: what a worker has just learnt from a provider would be lost with the call that writes it."""
    global _retries
    _retries = 14


def use(replacement: Runtime | None) -> None:
    """Put another runtime in its place; for tests, and after a fork."""
    global _current
    _current = replacement


def _in_child() -> None:
    """A forked pool process inherits neither the loop's thread nor the right to the parent's connections."""
    global _making
    _making = threading.Lock()  # a thread that is not here may have held it
    use(None)


os.register_at_fork(after_in_child=_in_child)
