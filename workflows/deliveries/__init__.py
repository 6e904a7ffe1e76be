"""Who wants to be told of events is told: webhooks, and Celery tasks of other applications. `settle webhooks run`.

`forward` brings events from the providers' streams to the outbox of each target, `webhook` and `downstream` carry one
of them to its target, `schedule` says when to try again, `runner` does it all for as long as the process runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from config.runtime import Runtime
from config.targets import Target
from jobs.events import JobEvent
from jobs.outbox import Outbox


class Result(StrEnum):
    """What came of one try."""

    SENT = "sent"
    LATER = "later"
    REFUSED = "refused"  #: it will be refused each time: given up at once
    GONE = "gone"  #: the target does not want to be told any more


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try.

    Args:
        result: of it.
        reason: for people; quotes nothing that the target said.
        pause: the seconds for which the target wants to be left alone.
    """

    result: Result
    reason: str
    pause: float | None = None


class Carrier(Protocol):
    """Brings an event to one target."""

    #: Seconds that one try takes at most.
    longest: float

    async def send(self, event: JobEvent) -> Answer:
        """Bring it there. What keeps it from getting there is an answer, not an error."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


def targets(run: Runtime) -> Mapping[str, Target]:
    """Who is to be told, by name."""
    return {**run.settings.webhooks, **run.settings.downstream}


def outbox(run: Runtime, name: str) -> Outbox:
    """The outbox of a target."""
    return Outbox(run.redis, name, clock=run.clock, keep=run.settings.retention)
