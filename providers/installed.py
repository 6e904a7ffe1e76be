"""What other packages bring: providers and workflows, found by their entry points.

A package that cannot be used stops Settle at its start, with its name and the remedy, as a misspelt variable does:
were it left out quietly, its jobs would wait for ever. All packages are looked at first, so that one message tells
of all that are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract, isclass
from types import ModuleType
from typing import Any

from jobs.errors import ConfigurationError
from providers.base import Operation, Provider
from providers.settings import ProviderSettings

PROVIDERS = "settle.providers"  #: group of entry points: a module that names a `PROVIDER`, or the class itself
WORKFLOWS = "settle.workflows"  #: group of entry points: a module of workflows

#: A part of environment variables, of keys in Redis and of the names of tasks.
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_STAGES = frozenset({"submit", "poll", "fetch", "verify", "emit"})


def added(own: Mapping[str, type[Provider]]) -> dict[str, type[Provider]]:
    """The providers of other packages, by name.

    Args:
        own: those of Settle, whose names are taken.

    Raises:
        ConfigurationError: one cannot be loaded, is incomplete, or takes a name that is in use.
    """
    found: dict[str, type[Provider]] = {}
    owner = dict.fromkeys(own, "Settle itself")

    def take(point: EntryPoint) -> None:
        provider = _provider(point.load())
        if provider.name in owner:
            raise ValueError(f"the name {provider.name!r} belongs to {owner[provider.name]}: choose another")
        found[provider.name] = provider
        owner[provider.name] = _package(point)

    each(PROVIDERS, take)
    return found


def each(group: str, take: Callable[[EntryPoint], object]) -> None:
    """Give every entry point of a group to `take`, in order of their names.

    Raises:
        ConfigurationError: `take` failed for some; the message names their packages.
    """
    problems, first = [], None
    for point in sorted(entry_points(group=group), key=lambda point: (_package(point), point.name)):
        try:
            take(point)
        except Exception as error:  # whatever a stranger's module may raise
            first = first or error
            reason = (
                str(error) if isinstance(error, ValueError | ConfigurationError) else f"{type(error).__name__}: {error}"
            )
            problems.append(f"package {_package(point)}, entry point {group}: {point.name} = {point.value}: {reason}")
    if problems:
        remedy = "correct or uninstall what is named here; until then nothing starts"
        raise ConfigurationError(f"{'; '.join(problems)} ({remedy})") from first


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "(unknown)"


def _provider(loaded: Any) -> type[Provider]:
    """The provider that an entry point means.

    Raises:
        ValueError: it is none, or is incomplete.
    """
    if isinstance(loaded, ModuleType):
        if not hasattr(loaded, "PROVIDER"):
            raise ValueError("the module names no PROVIDER: add `PROVIDER = YourProvider`")
        loaded = loaded.PROVIDER
    if not isclass(loaded) or not issubclass(loaded, Provider):
        raise ValueError("not a subclass of settle_jobs.provider.Provider")
    provider: type[Provider] = loaded
    name = getattr(provider, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _STAGES:
        raise ValueError(f"name: {name!r} must be small letters, digits and single underscores, and no stage of a job")
    _complete(provider)
    if not issubclass(provider.settings_type, ProviderSettings):
        raise ValueError("settings_type: must be a subclass of settle_jobs.provider.ProviderSettings")
    operations = getattr(provider, "operations", ())
    if not operations:
        raise ValueError("operations: name at least one")
    for operation in operations:
        if not isclass(operation) or not issubclass(operation, Operation):
            raise ValueError(f"operations: {operation!r} is not a subclass of settle_jobs.provider.Operation")
        _complete(operation)
        for attribute in ("name", "request"):
            if not hasattr(operation, attribute):
                raise ValueError(f"{operation.__name__}.{attribute}: must be set")
    return provider


def _complete(kind: type) -> None:
    if isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))  # type: ignore[attr-defined]
        raise ValueError(f"{kind.__name__}: write {missing}")
