"""The emit stage: the provider is tidied up, what follows the job is started, then its outcome goes to result backend,
ledger and event stream in one write. A crash in between only means that the same is done again, which is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery, Task, shared_task
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError, ResponseError

from config.fail_points import reach
from config.runtime import Runtime, runtime
from jobs import links
from jobs.errors import ConfigurationError, InvalidJob
from jobs.ledger import Acceptance
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.refusals import DOCTOR, refusal
from jobs.states import JobState
from observability.traces import traced
from providers.base import Operation
from providers.errors import PermanentError, ProviderError, scrub
from providers.trigger import Link, problems, request_of
from tasks.announce import REDACTED, Announcer
from tasks.intake import NOT_ALLOWED, new_job, record
from tasks.stage import begin, break_chain, conclude

logger = logging.getLogger(__name__)


#: So often the provider is asked before the outcome is told with its things still there.
_TRIES = 4

#: A broker that does not answer is tried again by the ledger, not by a stage that waits.
_PUBLISH = {"max_retries": 2, "interval_start": 0.0, "interval_step": 0.2}


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


@traced("tidy")
async def tidy(run: Runtime, job: Job) -> dict[str, Any] | None:
    """What tidying up adds to the job's result; none if it should be tried again after a while.

    A worker that dies meanwhile tidies up again. No job fails for it, and after a few tries none waits any longer.
    """
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


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of the links of a job.

    Args:
        next: the job that was started.
        sent: the tasks that were sent.
        left: the links that could not be started.
        failure: why not.
    """

    next: str | None = None
    sent: tuple[str, ...] = ()
    left: tuple[links.Link, ...] = ()
    failure: Failure | None = None


def follow(run: Runtime, announcer: Announcer, app: Celery, job: Job) -> Followed:
    """Start what follows a job that has succeeded: all tasks up to the next job, and that job with the rest.

    Args:
        run: the runtime.
        announcer: tells who waits for the next job.
        app: sends the tasks of other applications, at least once.
        job: in its emit stage, its files verified.

    Raises:
        OperationalError: the broker is away; nothing is lost, and all of it may be done again.
    """
    then = links.fill(job.then, job.position, job.outcome())
    sent: tuple[str, ...] = ()
    for index, raw in enumerate(then):
        place = job.position + 1 + index
        next_id = links.link_id(job.id, job.position, raw, place)
        try:
            if raw.get("task"):
                sent = (*sent, _send_task(run, app, job, raw, next_id))
                continue
            _start_job(run, announcer, job, raw, next_id, (place, then[index + 1 :]))
        except (InvalidJob, ValidationError) as error:
            said = problems(error) if isinstance(error, ValidationError) else str(error)
            failure = Failure(
                "next_refused",
                f"the job itself succeeded, but {links.title(raw)} could not follow: {said}",
                "trigger what was not started under an id of its own",
            )
            stopped = [links.title(each) for each in then[index:]]
            logger.error("chain_stopped", extra={"fields": {"job_id": job.id, "stopped": stopped}})
            return Followed(sent=sent, left=then[index:], failure=failure)
        return Followed(next=next_id, sent=sent)
    return Followed(sent=sent)


def _send_task(run: Runtime, app: Celery, job: Job, raw: links.Link, task_id: str) -> str:
    """Send a task of another application. Returns its name.

    Raises:
        InvalidJob: a value that it waits for is not there; its queue is not allowed; its id is that of a job, whose
            result the other application would overwrite; or the broker refuses it for good.
        ValidationError: nothing but its name is left of the link, or an older version recorded what is refused today.
        OperationalError: the broker is away.
    """
    if lacking := links.gap(raw):
        raise InvalidJob(lacking)
    link = Link.model_validate(raw)
    name, allowed = str(link.task), run.settings.link_queues
    if allowed is not None and link.queue not in allowed:
        raise InvalidJob(f"queue: {NOT_ALLOWED}")
    try:
        if run.ledger.read([task_id]) != [None]:
            raise InvalidJob(f"its id {task_id} is that of a job")
        app.send_task(
            name,
            kwargs=link.kwargs,
            task_id=task_id,
            queue=link.queue,
            root_id=job.root or job.id,
            parent_id=job.id,
            headers={"traceparent": job.trace} if job.trace else None,
            argsrepr="()",
            kwargsrepr=REDACTED,
            retry_policy=_PUBLISH,
        )
    except (OperationalError, RedisError, AMQPError) as error:
        if reason := refusal(error):
            raise InvalidJob(f"it is refused with: {scrub(reason)}") from error
        raise OperationalError(type(error).__name__) from error
    logger.info("task_sent", extra={"fields": {"job_id": job.id, "task": name, "task_id": task_id}})
    return name


def _start_job(
    run: Runtime,
    announcer: Announcer,
    job: Job,
    raw: links.Link,
    next_id: str,
    chain: tuple[int, tuple[links.Link, ...]],
) -> None:
    """Record the next job; one whose values are not there is recorded as failed.

    Raises:
        InvalidJob: it has no workflow here, or its id belongs to another request.
    """
    workflow = str(raw["workflow"])
    options = {name: raw[name] for name in ("tags", "deadline") if raw.get(name) is not None}
    kwargs = {**(raw.get("kwargs") or {}), **options}
    started = new_job(run, next_id, workflow, request_of(workflow), (), kwargs, parent=job, chain=chain)
    if lacking := links.gap(raw):
        failure = Failure("reference", lacking, "correct the reference and trigger what was not started under a new id")
        now = started.created_at
        left = links.bare(started.then)
        started = replace(
            started, state=JobState.FAILED, failure=failure, due_at=None, deadline_at=now, request=None, then=left
        )
    if record(run, announcer, started, task=f"settle.{workflow}") is Acceptance.CONFLICT:
        raise InvalidJob(f"its id {next_id} belongs to another request")
