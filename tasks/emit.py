"""The emit stage: the outcome goes to the result backend, the ledger and the event stream, in one write.

Before it the provider is tidied up, now that every file is safe. A worker that dies in between tidies up again. No job
fails for it, and after a few tries none waits for it any longer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from celery import Task, shared_task

from config.fail_points import reach
from config.runtime import Runtime, runtime
from jobs.errors import ConfigurationError
from jobs.policy import backoff
from jobs.record import Job, Move
from jobs.states import JobState
from providers.base import Operation
from providers.errors import PermanentError, ProviderError
from tasks.announce import Announcer
from tasks.stage import begin, break_chain, conclude

logger = logging.getLogger(__name__)

#: So often the provider is asked before the outcome is told with its things still there.
_TRIES = 4


@shared_task(name="settle.emit", bind=True, ignore_result=True)
def emit(self: Task, job_id: str, seq: int | None = None) -> str:
    """Finish one job whose files are verified."""
    run, announcer = runtime(), Announcer.of(self)
    for job in begin(run, announcer, [job_id], [seq] if seq is not None else None, (JobState.EMITTING,)):
        reach(run.settings, "emit.before_write")
        move = run.loop.run(_tidied(run, job))
        reach(run.settings, "emit.after_tidy")
        conclude(run, [move], announcer)
        reach(run.settings, "emit.after_write")
        return str(move.after.state)
    break_chain(self)
    return "nothing to do"


async def _tidied(run: Runtime, job: Job) -> Move:
    now = run.clock.now()
    added: dict[str, Any] = {}
    try:
        operation = run.provider(job.provider).operation(job.workflow.partition(".")[2])
        left = (job.due_at or now) - now - run.settings.lease * 0.2
        if type(operation).tidy is not Operation.tidy and left > 0:  # else somebody else may be at it already
            added = await asyncio.wait_for(operation.tidy(job), left)
    except (ProviderError, TimeoutError) as error:
        logger.info("not_tidied", extra={"fields": {"job_id": job.id, "reason": str(error) or "no answer in time"}})
        if not isinstance(error, PermanentError) and job.attempts + 1 < _TRIES:
            now = run.clock.now()
            return job.stay(now=now, due_at=now + backoff(job.attempts + 1), attempts=job.attempts + 1)
    except ConfigurationError:
        pass
    except Exception:  # a defect of ours: the files are safe, and so is the outcome
        logger.exception("tidy_failed", extra={"fields": {"job_id": job.id}})
    result = {**(job.result or {}), **added} if added else job.result
    return job.to(JobState.SUCCEEDED, now=run.clock.now(), attempts=0, result=result)
