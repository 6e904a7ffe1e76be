"""Kinds of options and arguments: how they are read, and how the shell completes them.

Completing costs at most one round trip to Redis, and where that fails nothing is offered: nobody wants an error there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from jobs.states import JobState

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


def _latest() -> list[str]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from config import servers
    from config.settings import settings
    from jobs.redis_ledger import RedisLedger

    own = settings()
    once = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "retry": Retry(NoBackoff(), 0)}
    with servers.client(own, own.redis(), decode_responses=True, **once) as client:
        return RedisLedger(client).newest(list(own.providers()), _OFFERED)
