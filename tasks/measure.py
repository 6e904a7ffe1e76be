"""The measure stage: hash a stored file before its job is submitted, a piece at a time.

A job that names a file waits at `accepted`. The submit stage hands it over to a worker that has the storage; what is
found takes the file's place in the request, and the clock brings the job back to the submit stage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from celery import Task, shared_task

from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.errors import InvalidJob, JobNotFound, RecordTooNew
from jobs.measure import measure as measured
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.states import JobState
from providers import discover
from providers.base import Operation
from tasks.announce import Announcer
from tasks.backlog import crowded
from tasks.stage import begin, conclude

logger = logging.getLogger(__name__)

_WAITS = "waits for its file to be hashed"


class _ClaimLost(Exception):
    """Somebody else has the job: a person who cancelled it, or a worker that took us for dead."""


def _file(job: Job) -> str | None:
    """The stored file that a job names and that nobody has hashed yet."""
    operation = _operation(job)
    value = (job.request or {}).get(operation.source) if operation and operation.source else None
    return str(value) if value is not None else None


def _operation(job: Job) -> type[Operation] | None:
    named = job.workflow.partition(".")[2]
    return next((known for known in discover()[job.provider].operations if known.name == named), None)


def hand_over(run: Runtime, announcer: Announcer, jobs: Sequence[Job]) -> list[Job]:
    """Send the jobs whose file has to be hashed first to the workers with the storage. Returns the others."""
    now = run.clock.now()
    mine = [job for job in jobs if job.state is JobState.ACCEPTED and now < job.deadline_at and _file(job) is not None]
    # Nobody holds them while their messages wait, so a long queue delays them and loses none; a lost one is sent again.
    moves = [job.stay(now=now, due_at=min(now + run.settings.lease, job.deadline_at), message=_WAITS) for job in mine]
    written = conclude(run, moves, announcer)
    for job in written if written and not crowded(run, written[0].provider) else ():
        measure.si(job.id).apply_async(root_id=job.id, parent_id=job.id)
    return [job for job in jobs if job not in mine]


@shared_task(name="settle.measure", bind=True, ignore_result=True)
def measure(self: Task, job_id: str) -> str:
    """Hash the file of one job."""
    run, announcer = runtime(), Announcer.of(self)
    try:
        seen = run.ledger.get(job_id)
    except (JobNotFound, RecordTooNew):
        return "nothing to do"
    # Looked at before it is begun: a doubled message must not move the wake-up of a job that waits for something else.
    if seen.state is not JobState.ACCEPTED or seen.wish is not None or _file(seen) is None:
        return "nothing to do"
    for job in begin(run, announcer, [job_id], None, (JobState.ACCEPTED,)):
        try:
            move = _measure(run, job)
        except _ClaimLost:
            return "somebody else has it"
        conclude(run, [move], announcer)
        return str(move.after.state)
    return "nothing to do"


@traced("measure")
def _measure(run: Runtime, job: Job) -> Move:
    """What follows from reading the file.

    Raises:
        _ClaimLost: the job is not ours any more.
    """
    operation, file = _operation(job), _file(job)
    now = run.clock.now()
    if operation is None or file is None:  # another worker was faster
        return job.stay(now=now, due_at=now)
    try:
        found = measured(_holding(run, job, run.storage.chunks(run.storage.inside(file))))
    except InvalidJob as error:
        return _failed(job, run.clock.now(), "invalid", str(error), "correct it and trigger it under a new id")
    except OSError as error:
        return _after_trouble(run, job, error)
    logger.info("file_hashed", extra={"fields": {"job_id": job.id, "bytes": found.size}})
    now = run.clock.now()
    request = operation.measured(job.request or {}, found.sha256, found.size)
    return job.stay(now=now, due_at=now, request=request, message=None, failure=None, attempts=0)


def _holding(run: Runtime, job: Job, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, with the lease renewed as they pass."""
    renewed = run.clock.now()
    for chunk in chunks:
        yield chunk
        if run.clock.now() - renewed > run.settings.lease / 3:
            if not run.ledger.renew(job, run.settings.lease):
                raise _ClaimLost
            renewed = run.clock.now()


def _failed(job: Job, now: float, kind: str, message: str, remedy: str) -> Move:
    return job.to(JobState.FAILED, now=now, failure=Failure(kind, message, remedy), request=None, message=None)


def _after_trouble(run: Runtime, job: Job, error: OSError) -> Move:
    """A file that is not there may still be on its way; a storage that is away costs time, until the deadline."""
    now, attempts = run.clock.now(), job.attempts + 1
    missing = isinstance(error, FileNotFoundError)
    kind = "no_file" if missing else "storage"
    message = (
        "file: there is no such file in Settle's storage"
        if missing
        else f"file: the storage refused: {error.strerror or type(error).__name__}"
    )
    if missing and attempts >= run.settings.fetch_attempts:
        return _failed(job, now, kind, message, "put the file there and trigger it under a new id; nothing was sent")
    due_at = min(now + backoff(attempts), job.deadline_at)
    return job.stay(now=now, due_at=due_at, failure=Failure(kind, message), attempts=attempts)
