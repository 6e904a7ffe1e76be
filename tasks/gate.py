"""The gate of a provider, minded at every answer: an outage costs jobs time, never their life.

It is a circuit breaker: closed gates stay so for longer with each failure, and then let one job through as the probe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from config import metrics
from config.runtime import Runtime
from jobs.policy import RETRY_AFTER_CAP
from jobs.record import Job
from providers.errors import Busy, NotReady, TransientError, Unauthorized
from tasks.announce import Announcer
from tasks.stage import conclude

logger = logging.getLogger(__name__)


async def heed(run: Runtime, provider: str, answer: object) -> None:
    """Close the provider's gate at once if this answer asks for it, before its neighbours in the bundle are through.

    Args:
        run: the runtime.
        provider: who was called.
        answer: what came of one call, perhaps an error.
    """
    if isinstance(answer, Busy) and answer.retry_after is not None:
        seconds = min(answer.retry_after, RETRY_AFTER_CAP)
        await asyncio.to_thread(run.ledger.pause, provider, seconds)


def mind(run: Runtime, provider: str, answers: Sequence[object]) -> None:
    """Close the provider's gate for a while if it asks for that, refuses the key, or answers nobody; else open it.

    Args:
        run: the runtime.
        provider: who was called.
        answers: what came of the calls of one bundle; errors among them. Those with a `Retry-After` were heeded.
    """
    answers = [answer for answer in answers if not isinstance(answer, NotReady)]
    if not answers:
        return
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    if any(isinstance(answer, Unauthorized) for answer in answers):
        # A wrong key stops the provider, not one job at a time; the pause grows until somebody mends it.
        kind, until = "unauthorized", run.ledger.pause(provider)
    elif any(answer.retry_after is not None for answer in busy):
        kind, until = "busy", run.ledger.paused_until(provider)
    elif busy:
        kind, until = "busy", run.ledger.pause(provider)
    elif all(isinstance(answer, TransientError) for answer in answers):
        kind, until = "unreachable", run.ledger.pause(provider)
    else:
        run.ledger.unpause(provider)
        return
    metrics.paused(provider, kind)
    seconds = round(max(until - run.clock.now(), 0.0), 1)
    logger.warning("provider_paused", extra={"fields": {"provider": provider, "kind": kind, "seconds": seconds}})


class Admission:
    """What the breaker of submissions lets through of one batch; it is asked when the first job is about to be sent.

    It stands beside the breaker of all calls: a provider may lose submissions while it answers every look-up.

    Args:
        run: the runtime.
        provider: whose submissions.
        wanted: how many jobs the batch has.
    """

    def __init__(self, run: Runtime, provider: str, wanted: int) -> None:
        self._run, self._provider, self._wanted = run, provider, wanted
        self._left: int | None = None
        self.until = 0.0  #: when the jobs that are not let through try again, epoch seconds

    def admit(self) -> bool:
        """Whether one more job may be sent."""
        if self._left is None:
            ledger, lease = self._run.ledger, self._run.settings.lease
            self._left, self.until = ledger.admit_submissions(self._provider, self._wanted, lease)
        self._left -= 1
        return self._left >= 0


def record_submissions(run: Runtime, provider: str, answers: Sequence[object]) -> list[object]:
    """Update the breaker of submissions. Returns the answers that also tell whether the provider can be reached.

    Args:
        run: the runtime.
        provider: who was called.
        answers: what came of the submissions of one batch: receipts, or errors.
    """
    lost = [answer for answer in answers if isinstance(answer, TransientError) and answer.may_have_arrived]
    unsent = [answer for answer in answers if isinstance(answer, TransientError) and not answer.may_have_arrived]
    if len(lost) + len(unsent) < len(answers):
        run.ledger.submissions_answered(provider)
    elif lost:
        until = run.ledger.submissions_failed(provider)
        metrics.paused(provider, "submissions")
        seconds = round(max(until - run.clock.now(), 0.0), 1)
        logger.warning("submissions_paused", extra={"fields": {"provider": provider, "seconds": seconds}})
    elif unsent:
        run.ledger.submissions_undecided(provider)
    return [answer for answer in answers if answer not in lost]


def send_back(run: Runtime, announcer: Announcer, jobs: list[Job]) -> bool:
    """Put jobs of one provider back if its gate has closed since they were claimed; they are due when it opens."""
    until = run.ledger.paused_until(jobs[0].provider) if jobs else 0.0
    if not until:
        return False
    now = run.clock.now()
    conclude(run, [job.stay(now=now, due_at=max(min(until, job.deadline_at), now)) for job in jobs], announcer)
    return True
