"""The emit stage: the outcome goes to the result backend, the ledger and the event stream, in one write."""

from __future__ import annotations

from celery import Task, shared_task

from config.fail_points import reach
from config.runtime import runtime
from jobs.states import JobState
from tasks.announce import Announcer
from tasks.stage import begin, break_chain, conclude


@shared_task(name="settle.emit", bind=True, ignore_result=True)
def emit(self: Task, job_id: str, seq: int | None = None) -> str:
    """Finish one job whose files are verified."""
    run, announcer = runtime(), Announcer.of(self)
    for job in begin(run, announcer, [job_id], [seq] if seq is not None else None, (JobState.EMITTING,)):
        reach(run.settings, "emit.before_write")
        conclude(run, [job.to(JobState.SUCCEEDED, now=run.clock.now(), attempts=0)], announcer)
        reach(run.settings, "emit.after_write")
        return "succeeded"
    break_chain(self)
    return "nothing to do"
