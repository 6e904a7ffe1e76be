"""The links behind a job: started in the emit stage, under ids that stay the same, so that it may be done again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError

from config.runtime import Runtime
from jobs import links
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance
from jobs.record import Failure, Job
from jobs.refusals import refusal
from jobs.states import JobState
from providers.errors import scrub
from providers.trigger import Link, problems, request_of
from tasks.announce import REDACTED, Announcer
from tasks.intake import NOT_ALLOWED, new_job, record

logger = logging.getLogger(__name__)

#: A broker that does not answer is tried again by the ledger, not by a stage that waits.
_PUBLISH = {"max_retries": 2, "interval_start": 0.0, "interval_step": 0.2}


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
                sent = (*sent, _send(run, app, job, raw, next_id))
                continue
            _start(run, announcer, job, raw, next_id, (place, then[index + 1 :]))
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


def _send(run: Runtime, app: Celery, job: Job, raw: links.Link, task_id: str) -> str:
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


def _start(
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
