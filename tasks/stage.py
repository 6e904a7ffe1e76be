"""What all stages share: begin a job by its claim, write moves and tell who waits, go on with the chain."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from celery import Task

from config import metrics
from config.runtime import Runtime
from jobs.errors import JobNotFound
from jobs.record import Failure, Job, Move
from jobs.states import JobState, Wish
from tasks import handles
from tasks.announce import Announcer
from tasks.cancel import cancel_all

logger = logging.getLogger(__name__)


def begin(
    run: Runtime,
    announcer: Announcer,
    job_ids: Sequence[str],
    seqs: Sequence[int] | None,
    states: Collection[JobState],
) -> list[Job]:
    """Start a stage. Jobs that are elsewhere already, that somebody else holds, or that are cancelled, are left out.

    Args:
        run: the runtime.
        announcer: tells who waits for a job that is cancelled here.
        job_ids: of one provider.
        seqs: the claims, if the jobs were claimed.
        states: the states of the stage.
    """
    if not job_ids:
        return []
    try:
        provider = run.ledger.provider_of(job_ids[0])
    except JobNotFound:
        logger.warning("wake_up_for_nothing", extra={"fields": {"job_id": job_ids[0]}})
        return []
    claims: Sequence[int | None] = seqs or [None] * len(job_ids)
    jobs = run.ledger.begin(provider, zip(job_ids, claims, strict=True), states, run.settings.lease)
    if doomed := [job for job in jobs if job.wish is Wish.CANCEL]:
        conclude(run, run.loop.run(cancel_all(run, doomed)), announcer)
    return [job for job in jobs if job.wish is not Wish.CANCEL]


def close(run: Runtime, job_ids: Sequence[str], bundle: str | None) -> None:
    """A bundle is done, whatever became of its jobs."""
    if bundle and job_ids:
        with suppress(JobNotFound):
            run.ledger.close_bundle(run.ledger.provider_of(job_ids[0]), bundle)


def conclude(run: Runtime, moves: Sequence[Move], announcer: Announcer) -> list[Job]:
    """Write moves, each with its announcement, and tell Flower. Returns the jobs whose move was ours to make."""
    told = [move.announced(announcer.announcement(move.after)) if move.news else move for move in moves]
    written = run.ledger.write(told)
    metrics.moved(moves, written)
    changed = []
    for move, job in zip(moves, written, strict=True):
        if job is None:
            logger.warning("claim_lost", extra={"fields": {"job_id": move.before.id, "state": move.before.state}})
        elif move.after.state is not move.before.state:
            changed.append(job)
            logger.info("job_moved", extra={"fields": _fields(move.before, job)})
    if changed:
        announcer.to_flower(changed)
        handles.keep(run, changed)
    return [job for job in written if job is not None]


def _fields(before: Job, job: Job) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "job_id": job.id,
        "workflow": job.workflow,
        "from": before.state.value,
        "to": job.state.value,
        "seq": job.seq,
        "polls": job.polls or None,
    }
    if job.failure:
        fields["kind"] = job.failure.kind
    return fields


def break_chain(task: Task) -> None:
    """Let the task end well without its chain going on: the ledger will bring the rest back, or nothing is left."""
    task.request.chain = None


def fail(job: Job, now: float, kind: str, message: str, remedy: str | None = None) -> Move:
    """The move of a job that cannot succeed any more."""
    return job.to(JobState.FAILED, now=now, failure=Failure(kind, message, remedy), request=None)


def expire(job: Job, now: float) -> Move:
    """The move of a job whose deadline has passed before it reached a terminal status."""
    sent = job.state is not JobState.ACCEPTED
    failure = Failure(
        kind="expired",
        message="the deadline passed; the remote outcome is unknown"
        if sent
        else "the deadline passed; nothing was sent",
        remedy="look at the provider before triggering it again" if sent else None,
    )
    # A body that was never received is kept: `settle resume` may still need it.
    return job.to(JobState.EXPIRED, now=now, failure=failure)
