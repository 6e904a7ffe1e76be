"""From the providers' streams into the outbox of a target, each event once.

How far a stream was read is written by the script that adds to the outbox. So a process may die anywhere, and several
may do the same work at once: what one of them has brought is not brought again.
"""

from __future__ import annotations

import logging
from typing import Any

from config.runtime import Runtime
from config.targets import Target
from jobs.errors import JobNotFound, RecordTooNew, SettleError
from jobs.events import JobEvent
from jobs.outbox import Outbox
from jobs.refusals import DOCTOR, executed
from providers.errors import scrub
from workflows.events import streams

logger = logging.getLogger(__name__)

#: Entries of a stream in one go.
_COUNT = 200
#: A target with so many waiting deliveries is given no more: they stay in the stream.
MOST_WAITING = 100_000

#: A record and its event may differ in time by so much, seconds; who is told twice knows the id.
_SLACK = 1.0

#: The entries that the log knows to be of a newer version.
_told: dict[tuple[str, str], str] = {}


def forward(run: Runtime, target: Target, outbox: Outbox, *, most: int = MOST_WAITING) -> int:
    """Bring what happened since the last time. Returns how many entries were read.

    Args:
        run: the runtime.
        target: its settings.
        outbox: of the target; it has begun.
        most: nothing is brought while so many deliveries wait.

    Raises:
        RedisError: Redis is away; nothing is lost.
    """
    keys = streams(run)
    places = outbox.places()
    if keys.keys() - places.keys():  # a stream that could not be read before
        outbox.begin(keys)
        places = outbox.places()
    keys = {provider: key for provider, key in keys.items() if provider in places}
    made: Any = run.redis
    pipe = made.pipeline(transaction=False)
    for provider, key in keys.items():
        # With the last one that was read: if it is gone, others may be.
        pipe.xrange(key, places[provider], "+", count=_COUNT + 1)
    found = {}
    for provider, entries in zip(keys, executed(pipe), strict=True):
        of = f"events {outbox.name} {provider}"
        if not isinstance(entries, Exception):
            found[provider] = entries
            run.causes.over(of)
        elif run.causes.news(of, str(entries)):
            fields = {"target": outbox.name, "provider": provider, "reason": scrub(entries), "remedy": DOCTOR}
            logger.error("events_not_read", extra={"fields": fields})
    news = {
        provider: [entry for entry in entries if entry[0] != places[provider]] for provider, entries in found.items()
    }
    if not any(news.values()) or outbox.standing().waiting >= most:
        return 0
    read = 0
    for provider, entries in news.items():
        if not entries:
            continue
        events: list[tuple[str, JobEvent]] = []
        last = ""
        for place, fields in entries:
            try:
                events.append((place, JobEvent.of_entry(provider, fields)))
            except SettleError as error:  # of a newer version: it waits, with all that follows, for that version
                _tell(outbox.name, provider, place, error)
                break
            last = place
        if last and len(entries) == len(found[provider]):
            kept = {event.job_id for _, event in events}  # their ends are among these, or come later
            missed = _missed(run, provider, places[provider], entries[0][0])
            events = [(place, event) for place, event in missed if event.job_id not in kept] + events
        if last:
            outbox.add(provider, last, [(place, event) for place, event in events if target.wants(event)])
            read += len(entries)
    return read


def _tell(name: str, provider: str, place: str, error: SettleError) -> None:
    """Log that an entry cannot be read: once, though it is looked at again and again."""
    if _told.get((name, provider)) != place:
        fields = {"target": name, "provider": provider, "reason": str(error)}
        logger.error("event_not_understood", extra={"fields": fields})
    _told[name, provider] = place


def _missed(run: Runtime, provider: str, last: str, first: str) -> list[tuple[str, JobEvent]]:
    """The last events of jobs that ended between two entries, made of their records: the stream may not keep theirs.

    Args:
        run: the runtime.
        provider: whose jobs.
        last: the entry that was read last.
        first: the first that is still kept.
    """
    ledger = run.ledger
    since, until = (int(place.partition("-")[0]) / 1000 for place in (last, first))
    events = []
    for job_id in ledger.ended(provider, since - _SLACK, until + _SLACK):
        try:
            job = ledger.get(job_id)
        except JobNotFound:
            continue
        except RecordTooNew as error:
            logger.error("record_too_new", extra={"fields": {"job_id": job_id, "reason": str(error)}})
            continue
        if job.finished:
            events.append((first, JobEvent.of_record(job)))
    if last != "0-0":
        fields = {"provider": provider, "ended": len(events), "remedy": "raise SETTLE_EVENTS_KEPT"}
        logger.warning("events_not_kept", extra={"fields": fields})
    return events
