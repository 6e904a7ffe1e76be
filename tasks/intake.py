"""The intake: what a trigger becomes. The entry task records the job and then stays open until the job ends.

Celery stores no result for a task that raises `Ignore`, so the ledger's own announcements are the task's states, and
the outcome its result. Nothing that a caller sends can be read in Flower or in a log.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Reject
from celery.worker.request import Request as CeleryRequest
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError

from config import metrics, traces
from config.fail_points import reach
from config.runtime import Runtime, runtime
from jobs.errors import ConfigurationError, InvalidJob
from jobs.ledger import Acceptance
from jobs.links import GROUP, Link, bare, numbered, queues, title
from jobs.links import written as place_of
from jobs.names import MALFORMED, well_formed
from jobs.record import Failure, Job, check_job_id, digest_of
from jobs.refusals import PartlyAccepted
from jobs.states import JobState
from jobs.trace import traceparent
from providers.trigger import MAX_LINKS, Options, check_root_id, problems
from tasks.announce import REDACTED, Announcer

logger = logging.getLogger(__name__)


#: The header in which an entry task finds when its job may begin.
_START = "settle_start"

#: What is wrong with a queue that is well-formed, and yet not one of those that are allowed.
NOT_ALLOWED = "this queue is not one of SETTLE_LINK_QUEUES; name one of those, or have it added for the workers"

#: Between two attempts to record a trigger while the ledger is away, seconds.
_PATIENCE = 2.0


class RedactedRequest(CeleryRequest):
    """A received message whose arguments nobody can read: not in events, not in `inspect`, not in a log.

    Nor is it held in memory for a countdown: the job begins later, not the message.
    """

    def __init__(self, message: Any, *args: Any, headers: Any = None, **options: Any) -> None:
        # The caller's client wrote these two headers, in clear text.
        clean = dict(message.headers if headers is None else headers)
        clean.update(argsrepr=REDACTED, kwargsrepr=REDACTED)
        # The ledger waits, not this message; and a job has a deadline instead.
        clean.update({_START: clean.get("eta"), "eta": None, "expires": None})
        super().__init__(message, *args, headers=clean, **options)  # type: ignore[misc]

    def info(self, safe: bool = False) -> Any:
        """What `celery inspect` shows: always the redacted form."""
        return super().info(safe=True)


class Entry(Task):
    """The base of all entry tasks."""

    Request = "tasks.intake:RedactedRequest"
    acks_late = True
    acks_on_timeout = False  # a trigger is acknowledged when it is in the ledger, and not before
    track_started = False  # a redelivered trigger must not overwrite the state of its job


def validate(
    request: type[BaseModel],
    args: tuple[object, ...],
    kwargs: Mapping[str, Any],
    *,
    allowed: Collection[str] | None = None,
) -> tuple[Options, dict[str, Any]]:
    """The options and the body of a trigger.

    Args:
        request: the model of its keyword arguments.
        args: positional arguments, which are not taken.
        kwargs: keyword arguments, options among them.
        allowed: the only queues that links may name; any if not given.

    Raises:
        InvalidJob: it can never work; the message names the fields.
    """
    if args:
        raise InvalidJob("arguments: give them by name; positional ones are not taken")
    own = {name: value for name, value in kwargs.items() if name in Options.model_fields}
    body = {name: value for name, value in kwargs.items() if name not in own}
    wrong = []
    options = Options()
    try:
        options = Options.model_validate(own)
    except ValidationError as error:
        wrong.append(problems(error, Options))
    try:
        request.model_validate(body)
    except ValidationError as error:
        wrong.append(problems(error, request))
    if not wrong and allowed is not None:
        wrong = [f"{place_of(place)}: {NOT_ALLOWED}" for place, queue in queues(kwargs) if queue not in allowed][:10]
    if wrong:
        raise InvalidJob("; ".join(wrong))
    return options, body


def new_job(
    run: Runtime,
    job_id: str,
    workflow: str,
    request: type[BaseModel],
    args: tuple[object, ...],
    kwargs: dict[str, Any],
    *,
    eta: float | None = None,
    here: bool = True,
    parent: Job | None = None,
    chain: tuple[int, Sequence[Link]] | None = None,
    trace: object = None,
) -> Job:
    """The job that a trigger asks for; already failed if its body is bad or its provider is not configured.

    Args:
        run: the runtime.
        job_id: the id of the Celery task.
        workflow: its name.
        request: the model of its keyword arguments.
        args: positional arguments, which are not taken.
        kwargs: keyword arguments, options among them.
        eta: when it may begin, seconds since the epoch; at once if not given.
        here: whether this process has the workers' settings, and so knows which providers are configured.
        parent: the job that starts it, if one does.
        chain: if it is a link, its place in its chain and the links after it, as they stand in the job before.
        trace: the `traceparent` that the caller sent, if it sent one; a link goes on with that of its parent.

    Raises:
        InvalidJob: the id cannot stand in a key.
    """
    provider = workflow.partition(".")[0]
    now = run.clock.now()
    # Labels and deadlines may differ between two triggers of one job. What follows it may not.
    telling = {key: value for key, value in kwargs.items() if key not in Options.model_fields}
    position, then = chain or (0, kwargs.get("then") or ())
    own = run.settings.providers()[provider]
    common: dict[str, Any] = {
        "id": check_job_id(job_id),
        "provider": provider,
        "workflow": workflow,
        "created_at": now,
        "updated_at": now,
        "digest": digest_of(workflow, {**telling, "then": then} if then else telling),
        "position": position,
        "root": (parent.root or parent.id) if parent else None,
        "parent": parent.id if parent else None,
        "trace": parent.trace if parent else traceparent(trace),
    }
    try:
        options, body = validate(request, args, kwargs, allowed=run.settings.link_queues)
        if not parent and (then or workflow == GROUP):
            check_root_id(job_id)
        if here:
            for name in {provider} | {title(link).partition(".")[0] for link in then if link.get("workflow")}:
                run.settings.provider(name)
    except (InvalidJob, ConfigurationError) as error:
        invalid = isinstance(error, InvalidJob)
        failure = Failure(
            kind="invalid" if invalid else "not_configured",
            message=str(error),
            remedy="correct the fields and trigger it under a new id"
            if invalid
            else "set the variables for the workers and trigger it under a new id",
        )
        return Job(state=JobState.FAILED, deadline_at=now, failure=failure, then=_left(then), **common)
    start = max(now, eta or now)
    return Job(
        state=JobState.ACCEPTED,
        deadline_at=start + (options.deadline or own.deadline),
        tags=options.tags,
        request=body,
        then=tuple(then) if chain else numbered(then),
        due_at=start,  # the clock brings it to the submit stage, through the provider's gate
        **common,
    )


def _left(then: object) -> tuple[dict[str, Any], ...]:
    """The names of links that will never start, as far as they are links; a name that is none is left out."""
    if not isinstance(then, list | tuple):
        return ()
    named = bare([link for link in then[:MAX_LINKS] if isinstance(link, Mapping)])
    return tuple(
        {kind: name if well_formed(name) else MALFORMED for kind, name in link.items()}
        for link in named
        if link and all(isinstance(name, str) for name in link.values())
    )


def record(run: Runtime, announcer: Announcer, job: Job, *, task: str | None = None) -> Acceptance:
    """Write a triggered job to the ledger, and tell who waits. Returns what the ledger said.

    Args:
        run: the runtime.
        announcer: tells who waits.
        job: as `new_job` made it.
        task: the name of the entry task, if Flower has not seen its message.
    """
    return record_all(run, announcer, [(job, task)])[0]


def record_all(run: Runtime, announcer: Announcer, jobs: Sequence[tuple[Job, str | None]]) -> list[Acceptance]:
    """Write triggered jobs to the ledger with a few round trips, each as `record` does.

    Args:
        run: the runtime.
        announcer: tells who waits.
        jobs: each with the name of its entry task, if Flower has not seen its message.

    Raises:
        PartlyAccepted: Redis refuses some of them; the others are recorded, and announced.
        RedisError: the ledger is away.
    """
    refused: PartlyAccepted | None = None
    answers: Sequence[Acceptance | None]
    reach(run.settings, "intake.before_accept")
    jobs, recorded = traces.accepting(run.settings, jobs)
    try:
        answers = run.ledger.accept_all([(job, announcer.announcement(job)) for job, _ in jobs])
    except PartlyAccepted as error:
        refused, answers = error, error.answers
    recorded(answers)
    written = [(job, task, answer) for (job, task), answer in zip(jobs, answers, strict=True) if answer is not None]
    metrics.triggered((job for job, _, _ in written), [answer for _, _, answer in written])
    reach(run.settings, "intake.after_accept")
    told: defaultdict[str | None, list[Job]] = defaultdict(list)
    for job, task, answer in written:
        fields = {"job_id": job.id, "workflow": job.workflow, "answer": answer.value}
        if answer is Acceptance.CONFLICT:
            reason = "the id belongs to another request"
            logger.error("trigger_refused", extra={"fields": {**fields, "reason": reason}})
            continue
        logger.info("trigger_accepted", extra={"fields": fields})
        if answer is Acceptance.CREATED:
            told[task].append(job)
        elif task is None:  # Flower has seen a new message, and must be told again where its job is
            told[None] += [held for held in run.ledger.read([job.id]) if isinstance(held, Job)]
    for received, new in told.items():
        announcer.to_flower(new, received=received)
    if refused is not None:
        raise refused
    return [answer for _, _, answer in written]


def _start(eta: str | None) -> float | None:
    try:
        return datetime.fromisoformat(eta).timestamp() if eta else None
    except (TypeError, ValueError):
        raise InvalidJob("eta: not a time as ISO 8601 writes it") from None


def accept(
    task: Task, workflow: str, request: type[BaseModel], args: tuple[object, ...], kwargs: dict[str, Any]
) -> None:
    """Record the job that an entry task was triggered for. The task that called this stays open.

    Only with another broker than Redis: there the intake takes triggers by the bundle.

    Raises:
        Ignore: always, so that Celery stores nothing in the job's name.
        Reject: the ledger is away for long; the broker keeps the trigger.
    """
    run = runtime()
    begun = time.monotonic()
    while True:
        try:
            eta, trace = _start(task.request.get(_START)), (task.request.headers or {}).get("traceparent")
            job = new_job(run, str(task.request.id), workflow, request, args, kwargs, eta=eta, trace=trace)
            record(run, Announcer.of(task), job)
            break
        except InvalidJob as error:  # an id that cannot even stand in a key
            logger.error("trigger_refused", extra={"fields": {"workflow": workflow, "reason": str(error)}})
            raise Ignore(str(error)) from None
        except RedisError as error:  # nothing else can be done meanwhile, and a failed task would be a lost trigger
            logger.warning("trigger_waits", extra={"fields": {"workflow": workflow, "error": type(error).__name__}})
            if time.monotonic() - begun > run.settings.stage_time_limit / 2:
                raise Reject("the ledger is away", requeue=True) from None
            time.sleep(_PATIENCE)
    raise Ignore("the job stays open until it ends")
