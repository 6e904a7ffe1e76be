"""Following events from Python: `follow` in a consumer group, `history` of what is kept.

For an application that has Settle installed and runs with the workers' `SETTLE_REDIS_URL`; `settle events` is the same
in the shell. See `docs/events.md`.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from config.runtime import Runtime, runtime
from jobs.errors import InvalidJob
from jobs.event_group import EventGroup
from jobs.events import JobEvent

logger = logging.getLogger(__name__)

#: Entries in one round trip.
_COUNT = 100
#: Between two looks at streams where nothing happens, and after a lost connection, seconds.
_LOOK, _AGAIN = 0.2, 1.0


def streams(run: Runtime, providers: Sequence[str] = ()) -> dict[str, str]:
    """The key of each provider's events.

    Args:
        run: the runtime.
        providers: only these; all if none are named.

    Raises:
        InvalidJob: there is no such provider.
    """
    known = list(run.settings.providers())
    if unknown := set(providers) - set(known):
        raise InvalidJob(f"provider: {min(unknown)!r} is not one of {', '.join(known)}")
    return {name: run.ledger.stream(name) for name in providers or known}


def history(run: Runtime, providers: Sequence[str] = (), *, until: dict[str, str] | None = None) -> Iterator[JobEvent]:
    """Every event that is still kept, oldest first.

    Args:
        run: the runtime.
        providers: of these only; of all if none are named.
        until: filled with the last place of each stream that was read, to go on from there.
    """

    def one(provider: str, key: str) -> Iterator[tuple[float, JobEvent]]:
        for event in _read(run, provider, key, "-", places):
            yield event.at, event

    places: dict[str, str] = {} if until is None else until
    each = [one(provider, key) for provider, key in streams(run, providers).items()]
    for _, event in heapq.merge(*each, key=lambda pair: pair[0]):
        yield event


def news(
    run: Runtime, places: dict[str, str], stop: threading.Event, providers: Sequence[str] = ()
) -> Iterator[JobEvent]:
    """Events after some places, for as long as nobody says stop; those of one job in order.

    Args:
        run: the runtime.
        places: the last place of each provider's stream that was read; kept up to date.
        stop: ends it.
        providers: of these only; of all if none are named.
    """
    keys = streams(run, providers)
    while not stop.is_set():
        found = False
        for provider, key in keys.items():
            for event in _read(run, provider, key, f"({places.get(provider, '0-0')}", places):
                found = True
                yield event
        if not found:
            stop.wait(_LOOK)


def ends(run: Runtime, providers: Sequence[str] = ()) -> dict[str, str]:
    """The last place of each provider's stream, as it is now."""
    found: dict[str, str] = {}
    redis: Any = run.redis
    for provider, key in streams(run, providers).items():
        last = redis.xrevrange(key, count=1)
        found[provider] = last[0][0] if last else "0-0"
    return found


def _read(run: Runtime, provider: str, key: str, first: str, places: dict[str, str]) -> Iterator[JobEvent]:
    redis: Any = run.redis
    while entries := redis.xrange(key, first, "+", count=_COUNT):
        for place, fields in entries:
            event = JobEvent.of_entry(provider, fields)
            places[provider] = place
            yield event
        first = f"({places[provider]}"


def follow(
    handle: Callable[[JobEvent], object],
    *,
    group: str,
    providers: Sequence[str] = (),
    from_now: bool = False,
    lease: float = 60.0,
    once: bool = False,
    stop: threading.Event | None = None,
    run: Runtime | None = None,
) -> None:
    """Call a function with each event, at least once, those of one job in order; returns when it is told to stop.

    An event counts as handled when the function has returned. If it raises, or the process dies, the event comes again:
    here the next time, or in another process of the group. At any time one process of a group reads a provider's events
    and the others stand by, so more processes make a group safer, not quicker.

    Args:
        handle: takes one event. It must be done within the lease; it may get an event again, and knows it by a `seq`
            that is not above the last one of its job.
        group: its name; one that is not there yet is made.
        providers: of these only; of all if none are named.
        from_now: a new group begins with what happens from now on, not with what is kept.
        lease: seconds in which one event is handled; after it another process takes over.
        once: return as soon as nothing is left to read, instead of waiting for more.
        stop: set it to end; the event in hand is handled first.
        run: the runtime; that of the process if not given.

    Raises:
        InvalidJob: the name of the group, or of a provider, is none.
        SettleError: an event of a newer version; nothing is lost, it waits for that version.
        RedisError: Redis refuses, or with `once` it is away.
    """
    own, over = run or runtime(), stop or threading.Event()
    readers = {
        provider: EventGroup(own.redis, key, group, lease=lease, from_now=from_now)
        for provider, key in streams(own, providers).items()
    }
    try:
        while not over.is_set():
            try:
                busy = [_some(provider, reader, handle, over) for provider, reader in readers.items()]
            except ResponseError:
                raise
            except RedisError as error:
                if once:
                    raise
                logger.warning("events_wait", extra={"fields": {"group": group, "error": type(error).__name__}})
                over.wait(_AGAIN)
                continue
            if not any(busy):
                if once:
                    return
                over.wait(_LOOK)
    finally:
        _leave(readers.values())


def _some(provider: str, reader: EventGroup, handle: Callable[[JobEvent], object], over: threading.Event) -> bool:
    """Handle what one stream has. Whether there was anything."""
    entries = reader.read(_COUNT)
    for entry in entries or ():
        if over.is_set():
            break
        if entry.fields is None:
            fields = {"provider": provider, "place": entry.place, "remedy": "raise SETTLE_EVENTS_KEPT"}
            logger.error("event_not_kept", extra={"fields": fields})
        else:
            handle(JobEvent.of_entry(provider, entry.fields))
        if not reader.done(entry.place):  # it took too long: somebody else goes on
            break
    return bool(entries)


def _leave(readers: Iterable[EventGroup]) -> None:
    for reader in readers:
        try:
            reader.leave()
        except RedisError:  # the lease ends by itself
            return
