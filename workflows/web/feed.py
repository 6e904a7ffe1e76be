"""What happens, as it happens: one reader of event streams and overview, for all browsers of this process."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from jobs.errors import InvalidJob, SettleError
from jobs.events import JobEvent
from jobs.refusals import refusal
from jobs.search import Overview
from workflows.web.models import ProvidersView, ProviderView

logger = logging.getLogger(__name__)

#: Entries in one round trip, and the milliseconds for which one waits for the next entry.
_COUNT, _BLOCK = 500, 5000
#: Messages that a slow browser may be behind; then it is sent away, and comes back where it was.
_HELD = 2000
#: Seconds between two looks at where everything stands, and how many of them the plots show.
SAMPLED, SAMPLES = 2.0, 450
#: Seconds after which a lost Redis is tried again.
_AGAIN = 1.0

#: The last event of each provider's stream.
Positions = dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """One message to browsers.

    Args:
        chunk: as it goes over the wire.
        provider: whose job it is about; none if it is about all.
        job_id: the job it is about.
    """

    chunk: bytes
    provider: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Where everything stood at one time, seconds since the epoch."""

    at: float
    overviews: tuple[Overview, ...]


def message(event: str, data: Any, positions: Mapping[str, str] | None = None) -> bytes:
    """A server-sent event; JSON has no line breaks of its own."""
    place = f"id: {written(positions)}\n" if positions is not None else ""
    return f"{place}event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def written(positions: Mapping[str, str]) -> str:
    """Positions as the id of an event."""
    return "&".join(f"{provider}={position}" for provider, position in positions.items())


def read_positions(text: str) -> Positions:
    """Positions that `written` wrote.

    Raises:
        InvalidJob: they are none.
    """
    if not re.fullmatch(r"\w+=\d{1,20}-\d{1,20}(?:&\w+=\d{1,20}-\d{1,20})*", text, re.ASCII):
        raise InvalidJob("Last-Event-ID: not the id of an event; send none, or the last one as it came")
    return dict(part.split("=") for part in text.split("&"))


def _number(position: str) -> tuple[int, int]:
    millis, _, count = position.partition("-")
    return int(millis), int(count)


class Listener:
    """One browser.

    Args:
        wants: whether it wants to be told.
        since: the positions at which it came.
    """

    def __init__(self, wants: Callable[[Told], bool], since: Positions) -> None:
        self._wants, self.since = wants, since
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_HELD)
        self.behind = False  #: it was told too much at a time, and must come back

    def tell(self, told: Told) -> None:
        """Put a message into its hands, unless they are full."""
        if not self._wants(told):
            return
        try:
            self._queue.put_nowait(told.chunk)
        except asyncio.QueueFull:
            self.behind = True

    async def next(self, patience: float) -> bytes | None:
        """The next message; none after so many seconds without one."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._queue.get(), patience)
        return None


class Feed:
    """Reads what happens, and tells whoever listens.

    Args:
        redis: an asynchronous client with `decode_responses=True`.
        streams: the key of each provider's events.
        look: reads where everything stands; called in a thread.
    """

    def __init__(self, redis: Any, streams: Mapping[str, str], look: Callable[[], Sequence[Overview]]) -> None:
        self._redis, self._streams, self._look = redis, streams, look
        self._provider = {key: provider for provider, key in streams.items()}
        self._listeners: set[Listener] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self.positions: Positions = {}
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)

    def start(self) -> None:
        """Begin, on the running loop."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._sample())]
        for task in self._tasks:
            task.add_done_callback(_ended)

    async def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    @property
    def overviews(self) -> tuple[Overview, ...]:
        """Where everything stood at the last look."""
        return self.samples[-1].overviews if self.samples else ()

    async def join(self, wants: Callable[[Told], bool]) -> Listener:
        """Begin to listen.

        Raises:
            TimeoutError: Redis does not answer.
        """
        await asyncio.wait_for(self._ready.wait(), 5)
        listener = Listener(wants, dict(self.positions))
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Stop listening."""
        self._listeners.discard(listener)

    async def missed(self, after: Positions, until: Positions) -> AsyncGenerator[Told]:
        """What was told after some positions, up to others; `reset` where it is not kept any more."""
        at = {provider: after.get(provider, until[provider]) for provider in until}
        for provider, end in until.items():
            key = self._streams[provider]
            first = await self._redis.xrange(key, count=1)
            if first and at[provider] != "0-0" and _number(first[0][0]) > _number(at[provider]):
                at[provider] = end
                yield Told(message("reset", {"provider": provider, "reason": "older events are not kept"}, at))
                continue
            while entries := await self._redis.xrange(key, f"({at[provider]}", end, count=_COUNT):
                for position, fields in entries:
                    at[provider] = position
                    if told := self._told(provider, fields, at):
                        yield told

    def _told(self, provider: str, fields: Mapping[str, str], positions: Positions) -> Told | None:
        """An entry of a stream as a message; none if nobody here can read it, as one of a newer version."""
        try:
            event = JobEvent.of_entry(provider, fields)
        except SettleError as error:
            logger.warning("event_not_understood", extra={"fields": {"error": type(error).__name__}})
            return None
        return Told(message("job", event.model_dump(mode="json", exclude_none=True), positions), provider, event.job_id)

    def _tell(self, told: Told | None) -> None:
        if told is not None:
            for listener in self._listeners:
                listener.tell(told)

    async def _follow(self) -> None:
        while True:
            try:
                await self._begin()
                positions = {self._streams[provider]: position for provider, position in self.positions.items()}
                answer = await self._redis.xread(positions, count=_COUNT, block=_BLOCK)
                found = [(_number(place), key, place, fields) for key, place, fields in _entries(answer)]
                for _, key, place, fields in sorted(found, key=lambda entry: entry[:2]):
                    provider = self._provider[key]
                    self.positions[provider] = place
                    self._tell(self._told(provider, fields, self.positions))
            except (RedisError, OSError) as error:  # the positions stay: nothing is missed
                await self._pause(error)
                if refusal(error) is not None:
                    with suppress(RedisError, OSError):
                        await self._leave_damaged()

    async def _begin(self) -> None:
        """Learn where the streams end at the moment, once."""
        for provider, key in self._streams.items():
            if provider not in self.positions and (last := await self._last(key)) is not None:
                self.positions[provider] = last
        self._ready.set()

    async def _last(self, key: str) -> str | None:
        """Where a stream ends; none if the key holds something else: the other streams are followed."""
        try:
            last = await self._redis.xrevrange(key, count=1)
        except ResponseError as error:
            if refusal(error) is None:
                raise
            return None
        return last[0][0] if last else "0-0"

    async def _leave_damaged(self) -> None:
        """Follow no stream whose key was replaced; it is begun anew when a person has mended it."""
        for provider in list(self.positions):
            if await self._last(self._streams[provider]) is None:
                del self.positions[provider]

    async def _sample(self) -> None:
        told = None
        while True:
            try:
                overviews = tuple(await asyncio.get_running_loop().run_in_executor(None, self._look))
                self.samples.append(Sample(time.time(), overviews))
                if overviews != told:
                    told = overviews
                    self._tell(Told(overview_message(overviews)))
            except (RedisError, OSError) as error:
                await self._pause(error)
            await asyncio.sleep(SAMPLED)

    async def _pause(self, error: Exception) -> None:
        logger.warning("feed_lost_redis", extra={"fields": {"error": type(error).__name__}})
        await asyncio.sleep(_AGAIN)


def _ended(task: asyncio.Task[None]) -> None:
    """Neither task ends by itself; if one does, the log must say why."""
    if not task.cancelled() and (error := task.exception()):
        logger.critical("feed_failed", exc_info=error)


def overview_message(overviews: Sequence[Overview]) -> bytes:
    """Where everything stands, as an event."""
    views = ProvidersView(providers=[ProviderView.of(each) for each in overviews])
    return message("overview", views.model_dump(mode="json", exclude_none=True))


def _entries(answer: Any) -> list[tuple[str, str, Mapping[str, str]]]:
    """Key, place and fields of what XREAD found, in either protocol of Redis."""
    pairs = answer.items() if isinstance(answer, dict) else answer or ()
    found = []
    for key, entries in pairs:
        flat = entries[0] if entries and isinstance(entries[0], list) else entries
        found += [(key, place, fields) for place, fields in flat]
    return found
