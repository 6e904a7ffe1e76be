"""What a person can do about a job, or a provider, and how one is sent: for the command, the page and the JSON API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery

from config.runtime import Runtime
from jobs.errors import IllegalMove, InvalidJob, JobConflict
from jobs.ledger import Acceptance
from jobs.links import GROUP
from jobs.nearest import did_you_mean
from jobs.record import Failure, Job, Move
from jobs.states import JobState, Wish
from tasks import handles
from tasks.announce import Announcer
from tasks.intake import new_job, record, validate
from tasks.ways import WORKFLOWS
from workflows.listing import provider_known

S = JobState

#: The move that a person wants for a job as it stands, and the time; raises `IllegalMove` where it cannot be.
Decide = Callable[[Job, float], Move]

#: A provider that a person paused stays so until a person resumes it, seconds.
_UNTIL_RESUMED = 10 * 365 * 86400.0
#: A job that is being sent at the moment can be acted on as soon as its answer is there, seconds.
_PATIENCE = 60.0


def change(run: Runtime, announcer: Announcer, job_id: str, decide: Decide, *, patience: float = _PATIENCE) -> Job:
    """Make one move in a person's name. Whatever was under way for the job loses its claim.

    Args:
        run: the runtime.
        announcer: tells who waits.
        job_id: the job.
        decide: the move for the job as it stands, and the time.
        patience: seconds to wait for the answer to a submission that is under way.

    Raises:
        JobNotFound: no such job.
        IllegalMove: the job is somewhere where this cannot be done.
    """
    end = time.monotonic() + patience
    while True:
        job = run.ledger.get(job_id)
        if job.state is not S.SUBMITTING:
            move = decide(job, run.clock.now())
            written = run.ledger.write([move.announced(announcer.announcement(move.after))])[0]
            if written is not None:
                announcer.to_flower([written])
                handles.keep(run, [written])
                return written
        elif time.monotonic() > end:
            raise IllegalMove(f"job {job_id} is being sent at the moment: try again when its answer is there")
        time.sleep(0.1)


def _unfinished(job: Job) -> None:
    if job.finished:
        raise IllegalMove(f"job {job.id} is finished: {job.state}")


def _deadline(run: Runtime, job: Job) -> float:
    """The deadline of a job's provider, seconds."""
    if (own := run.settings.providers().get(job.provider)) is None:
        raise IllegalMove(f"job {job.id}: its provider {job.provider} is not installed here")
    return own.deadline


def cancelling(job: Job, now: float) -> Move:
    """Cancel a job at its next stage, which is due at once."""
    _unfinished(job)
    return job.stay(now=now, due_at=now, wish=Wish.CANCEL, attempts=0)


def pausing(job: Job, now: float) -> Move:
    """Leave a job alone until its deadline, or until it is resumed."""
    _unfinished(job)
    return job.stay(now=now, due_at=max(job.deadline_at, now), wish=Wish.PAUSE)


def resuming(run: Runtime, deadline: float | None) -> Decide:
    """Go on with a paused job, or reopen an expired one with a new deadline."""

    def decide(job: Job, now: float) -> Move:
        longer = deadline or _deadline(run, job)
        if job.state is S.EXPIRED:
            if job.receipt is not None:
                state = S.POLLING
            elif job.request is None:
                raise IllegalMove(f"job {job.id}: its request is gone; trigger it again under a new id")
            else:
                state = S.IN_DOUBT if job.intent is not None else S.ACCEPTED
            return job.reopen(state, now=now, due_at=now, deadline_at=now + longer)
        if job.wish is not Wish.PAUSE:
            raise IllegalMove(f"job {job.id} is neither paused nor expired: {job.state}")
        end = now + deadline if deadline else job.deadline_at
        return job.stay(now=now, due_at=now, wish=None, deadline_at=end)

    return decide


def replaying(run: Runtime) -> Decide:
    """Fetch and verify the files of a failed job again, or look again at the members of a failed group."""

    def decide(job: Job, now: float) -> Move:
        if job.state is not S.FAILED or not (job.artifacts or (job.provider == GROUP and job.receipt)):
            raise IllegalMove(f"job {job.id} has no failed stage after its polls to be replayed: {job.state}")
        end = now + _deadline(run, job)
        return job.reopen(S.FETCHING if job.artifacts else S.POLLING, now=now, due_at=now, deadline_at=end)

    return decide


def resolving(remote_id: str | None, *, resubmit: bool) -> Decide:
    """End a doubt: the provider has it under this id, or has nothing (send it again), or give up."""

    def decide(job: Job, now: float) -> Move:
        if job.state is not S.IN_DOUBT:
            raise IllegalMove(f"job {job.id} is not in doubt: {job.state}")
        if remote_id is not None:
            changes: dict[str, Any] = {"receipt": {"remote_id": remote_id}, "submitted_at": now, "request": None}
            return job.to(S.POLLING, now=now, due_at=now, wish=None, attempts=0, **changes)
        if resubmit:
            return job.stay(now=now, due_at=now, wish=Wish.RESUBMIT)
        failure = Failure("given_up", "in doubt, and given up by a person: the remote outcome is unknown")
        return job.to(S.FAILED, now=now, failure=failure, request=None)

    return decide


def possible(run: Runtime, job: Job) -> tuple[str, ...]:
    """What can be done about a job as it stands: `cancel`, `pause`, `resume`, `replay`, `resolve`."""
    decisions: dict[str, Decide] = {
        "resolve": resolving(None, resubmit=True),
        "resume": resuming(run, None),
        "replay": replaying(run),
        "pause": pausing,
        "cancel": cancelling,
    }
    found = []
    for name, decide in decisions.items():
        try:
            move = decide(job, job.updated_at)
        except IllegalMove:
            continue
        if name in ("resolve", "resume", "replay") or move.after.wish is not job.wish:  # wished for already
            found.append(name)
    return tuple(found)


def pause_provider(run: Runtime, name: str, seconds: float | None = None) -> None:
    """Close a provider's gate: for so many seconds, or until it is resumed."""
    run.ledger.pause(provider_known(run, name), seconds or _UNTIL_RESUMED)


def resume_provider(run: Runtime, name: str) -> None:
    """Open a provider's gate at once, whatever closed it."""
    run.ledger.open_gate(provider_known(run, name))


def workflow_known(name: str) -> str:
    """A workflow's name without the `settle.` in front, if it is one.

    Raises:
        InvalidJob: it is not.
    """
    if (bare := name.removeprefix("settle.")) not in WORKFLOWS:
        known = sorted(WORKFLOWS)
        raise InvalidJob(f"workflow: {bare[:100]!r} is not one of {', '.join(known)}{did_you_mean(bare, known)}")
    return bare


def send(
    run: Runtime,
    app: Celery,
    name: str,
    job_id: str,
    body: Mapping[str, Any],
    *,
    sender: str,
    same: str,
    trace: str | None = None,
) -> tuple[Job, Acceptance]:
    """Record one job straight in the ledger, due at once: no message could be lost.

    Returns the job, and whether it is `CREATED` or the `SAME` as one that is there already.

    Args:
        run: the runtime.
        app: tells Flower.
        name: of the workflow, without the `settle.` in front.
        job_id: of the job.
        body: its keyword arguments, options among them.
        sender: in whose name Flower is told.
        same: what must be the same for the same id.
        trace: the `traceparent` that the caller sent, if it sent one.

    Raises:
        InvalidJob: the body can never work, or the id cannot stand in a key.
        JobConflict: the id belongs to another request.
    """
    validate(WORKFLOWS[name].request, (), body, allowed=run.settings.link_queues)
    job = new_job(run, job_id, name, WORKFLOWS[name].request, (), dict(body), here=False, trace=trace)
    answer = record(run, Announcer(app, sender), job, task=f"settle.{name}")
    if answer is Acceptance.CONFLICT:
        raise JobConflict(f"id: {job_id} belongs to another request; use a new id, or {same}")
    return run.ledger.get(job_id), answer
