"""Tidying up at the provider, now that every file is safe. A worker that dies meanwhile tidies up again.

No job fails for it, and after a few tries none waits for it any longer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from config.runtime import Runtime
from config.traces import traced
from jobs.errors import ConfigurationError
from jobs.record import Job
from providers.base import Operation
from providers.errors import PermanentError, ProviderError

logger = logging.getLogger(__name__)

#: So often the provider is asked before the outcome is told with its things still there.
_TRIES = 4


@traced("tidy")
async def tidy(run: Runtime, job: Job) -> dict[str, Any] | None:
    """What tidying up adds to the job's result; none if it should be tried again after a while."""
    try:
        operation = run.provider(job.provider).operation(job.workflow.partition(".")[2])
        now = run.clock.now()
        left = (job.due_at or now) - now - run.settings.lease * 0.2
        if type(operation).tidy is not Operation.tidy and left > 0:  # else somebody else may be at it already
            return await asyncio.wait_for(operation.tidy(job), left)
    except (ProviderError, TimeoutError) as error:
        logger.info("not_tidied", extra={"fields": {"job_id": job.id, "reason": str(error) or "no answer in time"}})
        if not isinstance(error, PermanentError) and job.attempts + 1 < _TRIES:
            return None
    except ConfigurationError:
        pass
    except Exception:  # a defect of ours: the files are safe, and so is the outcome
        logger.exception("tidy_failed", extra={"fields": {"job_id": job.id}})
    return {}
