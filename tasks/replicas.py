"""Before a request leaves, its intent is on a replica too: a fail-over must not forget that it was sent.

Redis replicates after it has answered. What it answered last may be lost with it, and a job whose intent is lost would
be submitted a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from config.runtime import Runtime
from jobs.policy import backoff
from jobs.record import Failure, Job
from jobs.states import JobState
from tasks.announce import Announcer
from tasks.stage import conclude

logger = logging.getLogger(__name__)

#: A replica that is well answers within milliseconds; one that does not is as good as none, seconds.
_WITHIN = 1.0


def only_copied(run: Runtime, announcer: Announcer, jobs: Sequence[Job]) -> list[Job]:
    """Those whose intent is on as many replicas as the settings ask for; the others go back to wait, nothing was sent.

    Args:
        run: the runtime.
        announcer: tells who waits.
        jobs: of one provider, at `submitting`, nothing sent yet.
    """
    wanted = run.settings.replicas()
    if not wanted or not jobs:
        return list(jobs)
    copied = run.ledger.copied(jobs, wanted, _WITHIN)
    waiting = [job for job, known in zip(jobs, copied, strict=True) if not known]
    if waiting:
        logger.warning("intent_not_copied", extra={"fields": {"provider": waiting[0].provider, "jobs": len(waiting)}})
        failure = Failure("replicas", f"fewer than {wanted} replicas of the ledger know the intent: nothing was sent")
        now = run.clock.now()
        conclude(
            run,
            [
                job.to(
                    JobState.ACCEPTED,
                    now=now,
                    due_at=now + backoff(job.attempts + 1),
                    failure=failure,
                    attempts=job.attempts + 1,
                )
                for job in waiting
            ],
            announcer,
        )
    return [job for job, known in zip(jobs, copied, strict=True) if known]
