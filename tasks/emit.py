"""The emit stage: the provider is tidied up, what follows the job is started, then its outcome goes to result backend,
ledger and event stream in one write. A crash in between only means that the same is done again, which is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery, Task, shared_task
from kombu.exceptions import OperationalError
from redis.exceptions import ResponseError

from config.fail_points import reach
from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.refusals import DOCTOR, refusal
from jobs.states import JobState
from providers.errors import scrub
from tasks.announce import Announcer
from tasks.links import follow
from tasks.stage import begin, break_chain, conclude
from tasks.tidy import tidy


@shared_task(name="settle.emit", bind=True, ignore_result=True)
def emit(self: Task, job_id: str, seq: int | None = None) -> str:
    """Finish one job whose files are verified, and start what follows it."""
    run, announcer = runtime(), Announcer.of(self)
    for job in begin(run, announcer, [job_id], [seq] if seq is not None else None, (JobState.EMITTING,)):
        return str(emit_held(run, announcer, self.app, [job])[0])
    break_chain(self)
    return "nothing to do"


def emit_held(run: Runtime, announcer: Announcer, app: Celery, jobs: Sequence[Job]) -> list[JobState]:
    """Finish jobs that are held. Returns the states that they should be in then."""
    reach(run.settings, "emit.before_write")
    tidied = run.loop.run(_tidy_all(run, jobs))
    reach(run.settings, "emit.after_tidy")
    moves = [
        _later(run, job) if added is None else _finish(run, announcer, app, job, added)
        for job, added in zip(jobs, tidied, strict=True)
    ]
    reach(run.settings, "emit.after_links")
    conclude(run, moves, announcer)
    reach(run.settings, "emit.after_write")
    return [move.after.state for move in moves]


async def _tidy_all(run: Runtime, jobs: Sequence[Job]) -> list[dict[str, Any] | None]:
    return await asyncio.gather(*(tidy(run, job) for job in jobs))


def _later(run: Runtime, job: Job, failure: Failure | None = None) -> Move:
    now, attempts = run.clock.now(), job.attempts + 1
    return job.stay(now=now, due_at=now + backoff(attempts), failure=failure, attempts=attempts)


@traced("emit")
def _finish(run: Runtime, announcer: Announcer, app: Celery, job: Job, added: Mapping[str, Any]) -> Move:
    """The move of a job whose links are started; one whose links wait for the broker stays.

    Links are not fed from what tidying up added: it may differ when both are done again.
    """
    try:
        done = follow(run, announcer, app, job)
    except OperationalError as error:
        said = f"what follows waits: the broker does not answer ({type(error).__name__})"
        return _later(run, job, Failure("broker", said))
    except ResponseError as error:  # of the next job's keys: it waits until a person mends them
        if (reason := refusal(error)) is None:
            raise
        return _later(run, job, Failure("ledger", f"what follows waits: {scrub(reason)}", DOCTOR))
    changes: dict[str, Any] = {"next": done.next, "sent": done.sent, "then": done.left, "failure": done.failure}
    if added:
        changes["result"] = {**(job.result or {}), **added}
    return job.to(JobState.SUCCEEDED, now=run.clock.now(), attempts=0, **changes)
