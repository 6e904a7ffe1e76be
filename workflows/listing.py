"""Which jobs a person asks for, in words: for `settle list`, the page and the JSON API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from config.runtime import Runtime
from jobs.errors import InvalidJob
from jobs.nearest import did_you_mean
from jobs.search import Place, Query
from jobs.states import UNFINISHED, JobState

#: What may stand for states together.
GROUPS = {"unfinished": UNFINISHED, "finished": frozenset(JobState) - UNFINISHED}

#: Jobs of one page at most.
MOST = 10_000

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def provider_known(run: Runtime, name: str) -> str:
    """A provider's name, if it is one.

    Raises:
        InvalidJob: it is not.
    """
    if name not in (known := run.settings.providers()):
        raise InvalidJob(f"provider: {name[:50]!r} is not one of {', '.join(known)}{did_you_mean(name, known)}")
    return name


def tags_of(pairs: Iterable[str]) -> dict[str, str]:
    """Tags from `NAME=VALUE`.

    Raises:
        InvalidJob: one is not of that form.
    """
    tags = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidJob("tag: give it as NAME=VALUE")  # not quoted: it may be personal
        tags[name] = value
    return tags


def moment(field: str, text: str, now: float) -> float:
    """A time, from an age (`90s`, `30m`, `2h`, `7d`, `1w`) or from ISO 8601; UTC if no zone is given.

    Args:
        field: its name, for the error.
        text: as a person wrote it.
        now: from which an age counts back, seconds since the epoch.

    Raises:
        InvalidJob: it is neither.
    """
    if found := re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw])", text, re.ASCII):
        return now - float(found[1]) * _UNITS[found[2]]
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        hint = "give an age as in 30m, 2h or 7d, or a time as in 2026-01-31T12:00"
        raise InvalidJob(f"{field}: {text[:50]!r} is neither an age nor a time; {hint}") from None


def query(
    run: Runtime,
    *,
    providers: Iterable[str] = (),
    states: Iterable[str] = (),
    tags: Iterable[str] = (),
    text: str = "",
    since: str = "",
    until: str = "",
    after: str = "",
    limit: int = 50,
) -> Query:
    """The question to the ledger; whatever is empty asks for nothing.

    Args:
        run: the runtime.
        providers: their names; of all, if there is none.
        states: their names, `unfinished` and `finished` among them.
        tags: each `NAME=VALUE`.
        text: part of the id.
        since: created then or later, see `moment`.
        until: created before.
        after: `next` of the page before.
        limit: jobs at most.

    Raises:
        InvalidJob: a part of it cannot be understood; the message names the field.
    """
    if not 1 <= limit <= MOST:
        raise InvalidJob(f"limit: give a number from 1 to {MOST}")
    wanted: set[JobState] = set()
    for name in states:
        if name not in GROUPS and name not in list(JobState):
            known = [*JobState, *GROUPS]
            raise InvalidJob(f"state: {name[:50]!r} is not one of {', '.join(known)}{did_you_mean(name, known)}")
        wanted |= GROUPS.get(name) or {JobState(name)}
    names = [provider_known(run, name) for name in providers]
    now = run.clock.now()
    return Query(
        providers=tuple(names or run.settings.providers()),
        states=frozenset(wanted),
        tags=tags_of(tags),
        text=text,
        since=moment("since", since, now) if since else None,
        until=moment("until", until, now) if until else None,
        after=Place.read(after) if after else None,
        limit=limit,
    )
