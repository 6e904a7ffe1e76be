"""Kinds of options and arguments: how they are read, and how the shell completes them.

Completing costs one round trip to Redis (tags: two), and where that fails nothing is said: nobody wants an error there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem

from jobs.states import JobState

if TYPE_CHECKING:
    from redis import Redis

    from config.settings import CoreSettings

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "": 1.0}

#: Longer than anything that is waited for, seconds.
_LONGEST = 10 * 365 * 86400.0

#: So many of the latest ids are offered, and Redis is waited for so long, seconds.
_OFFERED, _PATIENCE = 50, 0.5


class Seconds(click.ParamType):
    """A length of time: `90`, `90s`, `30m`, `2h`, `7d`, `1w`.

    Args:
        zero: whether it may be none at all.
    """

    name = "seconds"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What stands for it in the help."""
        return "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, in seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw]?)", str(value), re.ASCII)
        seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
        if not (0 < seconds <= _LONGEST or (self._zero and seconds == 0)):
            self.fail(f"{str(value)[:50]!r} is no length of time; give seconds, or as in 30m, 2h, 7d", param, ctx)
        return seconds


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _quietly(names: Any) -> list[str]:
    """What a function gives; nothing if the set-up is wrong, or Redis is away."""
    try:
        return list(names())
    except Exception:  # a traceback would stand in the middle of what is typed
        return []


class State(click.ParamType):
    """A state, or a group of them; looked at by `workflows.listing`."""

    name = "state"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """All of them."""
        return _items([*(state.value for state in JobState), "unfinished", "finished"], incomplete)


class Provider(click.ParamType):
    """A provider; looked at by `workflows.listing`."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """All that are installed."""
        from providers import discover

        return _items(_quietly(discover), incomplete)


class Workflow(click.ParamType):
    """A workflow; looked at by `workflows.acts`."""

    name = "workflow"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """All of the providers that are installed."""
        from providers.trigger import workflow_names

        return _items(_quietly(workflow_names), incomplete)


class JobId(click.ParamType):
    """The id of a job."""

    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Of the latest jobs, newest first."""
        return _items(_quietly(_latest), incomplete)


class Tag(click.ParamType):
    """NAME=VALUE, a label of the caller's; looked at by `workflows.listing`."""

    name = "tag"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those of the latest jobs, by name."""
        return _items(_quietly(_latest_tags), incomplete)


class Target(click.ParamType):
    """Who is told of events; looked at by `workflows.command.webhooks`.

    Args:
        only: of which of them: a `webhook` of the settings, or what is `left over` of one that is no longer there.
    """

    name = "target"

    def __init__(self, only: Literal["webhook", "left over", "any"] = "any") -> None:
        self._only = only

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those of the settings, and those for which something may wait in Redis."""
        configured = set(_quietly(_configured_targets if self._only != "webhook" else _webhooks))
        waiting = set(_quietly(_known_targets)) if self._only != "webhook" else set()
        return _items(sorted(waiting - configured if self._only == "left over" else waiting | configured), incomplete)


@contextmanager
def _redis() -> Iterator[tuple[CoreSettings, Redis]]:
    """A client that does not wait for long, and asks once."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from config import servers
    from config.settings import settings

    own = settings()
    once = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "retry": Retry(NoBackoff(), 0)}
    with servers.client(own, own.redis(), decode_responses=True, **once) as client:
        yield own, client


def _latest() -> list[str]:
    from jobs.ledger import Ledger

    with _redis() as (own, client):
        return Ledger(client).newest(list(own.providers()), _OFFERED)


def _latest_tags() -> list[str]:
    """A second round trip reads the tags, and nothing else of these jobs."""
    from jobs.ledger import Ledger

    with _redis() as (own, client):
        return Ledger(client).newest_tags(list(own.providers()), _OFFERED)


def _known_targets() -> list[str]:
    from jobs.outbox import names

    with _redis() as (_, client):
        return names(client)


def _configured_targets() -> list[str]:
    from config.settings import settings

    return [*settings().webhooks, *settings().downstream]


def _webhooks() -> list[str]:
    from config.settings import settings

    return list(settings().webhooks)
