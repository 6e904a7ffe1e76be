"""The gate of a provider, minded after every bundle: an outage costs jobs time, never their life."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from config.runtime import Runtime
from jobs.policy import RETRY_AFTER_CAP
from providers.errors import Busy, NotReady, TransientError, Unauthorized

logger = logging.getLogger(__name__)


def mind(run: Runtime, provider: str, answers: Sequence[object]) -> None:
    """Close the provider's gate for a while if it asks for that, refuses the key, or answers nobody.

    Args:
        run: the runtime.
        provider: who was called.
        answers: what came of the calls of one bundle; errors among them.
    """
    answers = [answer for answer in answers if not isinstance(answer, NotReady)]
    if not answers:
        return
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    asked = [min(answer.retry_after, RETRY_AFTER_CAP) for answer in busy if answer.retry_after is not None]
    if any(isinstance(answer, Unauthorized) for answer in answers):
        # A wrong key stops the provider, not one job at a time; the pause grows until somebody mends it.
        kind, until = "unauthorized", run.ledger.pause(provider)
    elif busy:
        kind, until = "busy", run.ledger.pause(provider, max(asked) if asked else None)
    elif all(isinstance(answer, TransientError) for answer in answers):
        kind, until = "unreachable", run.ledger.pause(provider)
    else:
        run.ledger.unpause(provider)
        return
    fields = {"provider": provider, "kind": kind, "seconds": round(until - run.clock.now(), 1)}
    logger.warning("provider_paused", extra={"fields": fields})
