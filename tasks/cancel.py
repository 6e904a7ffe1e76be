"""Cancelling: a job ends at its next stage, and is taken back at the provider where that has a way."""

from __future__ import annotations

import asyncio
import logging

from config.runtime import Runtime
from config.traces import traced
from jobs.errors import ConfigurationError
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.states import JobState
from providers.errors import PermanentError, ProviderError

logger = logging.getLogger(__name__)


async def cancel_all(run: Runtime, jobs: list[Job]) -> list[Move]:
    """The moves of jobs whose cancellation was wished for."""
    return list(await asyncio.gather(*(_cancel(run, job) for job in jobs)))


@traced("cancel")
async def _cancel(run: Runtime, job: Job) -> Move:
    """Take one job back. An outage of the provider delays that until the job's deadline, no longer."""
    note = None
    if job.receipt is not None:
        try:
            operation = run.provider(job.provider).operation(job.workflow.partition(".")[2])
            taken_back = await asyncio.wait_for(operation.cancel(job), run.settings.lease * 0.8)
            note = None if taken_back else "the provider has no way to take it back: its own job goes on"
        except PermanentError as error:
            note = f"the provider would not take it back: {error}"
        except (ProviderError, ConfigurationError, TimeoutError) as error:
            now = run.clock.now()
            if now < job.deadline_at:
                failure = Failure("cancelling", f"the provider could not be told yet: {error}")
                due_at = min(now + backoff(job.attempts + 1), job.deadline_at)
                return job.stay(now=now, due_at=due_at, failure=failure, attempts=job.attempts + 1)
            note = "the provider could not be told before the deadline"
    elif job.state is JobState.IN_DOUBT:
        note = "its submission was in doubt: look at the provider"
    failure = Failure("cancelled", "cancelled" + (f"; {note}" if note else ""))
    return job.to(JobState.CANCELLED, now=run.clock.now(), failure=failure, request=None)
