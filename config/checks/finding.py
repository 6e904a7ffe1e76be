"""What a look finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    REFUSED = "refused"  #: jobs would be lost, or cannot be written at all
    WARNING = "warning"  #: jobs may be lost or stand still, or a provider differs from what is assumed
    FINE = "fine"  #: looked at, and as it should be


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: how bad it is.
        what: what was found, without any secret.
        remedy: what to do about it; empty if nothing.
    """

    level: Level
    what: str
    remedy: str = ""


def refused(what: str, remedy: str) -> Finding:
    """Jobs would be lost, or cannot be written at all."""
    return Finding(Level.REFUSED, what, remedy)


def warning(what: str, remedy: str) -> Finding:
    """Something may go wrong in a bad moment."""
    return Finding(Level.WARNING, what, remedy)
