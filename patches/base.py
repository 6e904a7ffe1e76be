"""What a patch is, and whether a library still has what the patch changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pkgutil import resolve_name
from types import EllipsisType


@dataclass(frozen=True, slots=True)
class Patch:
    """One cure for one defect of a library.

    Args:
        name: stands in warnings, in `settle doctor` and in docs/architecture.md.
        library: the distribution that has the defect.
        versions: those that a run of `tests/patches` has shown to have the defect and to bear the patch.
        targets: each function that the patch replaces or calls, as `module:Class.function`, with its parameters; `...`
            at their end stands for more, which the patch passes on.
        apply: puts the patch in place. Its docstring tells the defect and the evidence.
    """

    name: str
    library: str
    versions: tuple[str, ...]
    targets: Mapping[str, tuple[str | EllipsisType, ...]]
    apply: Callable[[], None]

    @property
    def fits(self) -> bool:
        """Whether the installed library still has every target, with the same parameters."""
        return all(_matches(target, expected) for target, expected in self.targets.items())


class State(StrEnum):
    """What became of a patch in this process."""

    VERIFIED = "verified"  #: applied to a version that it is known to cure
    UNVERIFIED = "unverified"  #: applied to another version, in which its targets look the same
    SKIPPED = "skipped"  #: not applied: its targets look different


@dataclass(frozen=True, slots=True)
class Outcome:
    """A patch, the installed version of its library, and what became of it."""

    patch: Patch
    version: str
    state: State


def apply(patch: Patch) -> Outcome:
    """Apply a patch if the installed version is known, or at least looks like the known ones."""
    installed = version(patch.library)
    state = State.UNVERIFIED if patch.fits else State.SKIPPED
    if installed in patch.versions:
        state = State.VERIFIED
    if state is not State.SKIPPED:
        patch.apply()
    return Outcome(patch, installed, state)


def _matches(target: str, expected: tuple[str | EllipsisType, ...]) -> bool:
    try:
        found = tuple(inspect.signature(resolve_name(target)).parameters)
    except (ImportError, AttributeError, TypeError, ValueError):
        return False
    return found[: len(expected) - 1] == expected[:-1] if expected[-1] is ... else found == expected
