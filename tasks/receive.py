"""The receipt of triggers: a bootstep in every worker of the intake queue, when the broker is Redis.

It takes Celery messages of the entry tasks straight from their queue, atomically (`jobs.inbox`), and records the jobs.
With another broker, whose acknowledgements can be trusted, the entry tasks are consumed like any other.
"""

from __future__ import annotations

import base64
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kombu.utils.json import loads
from redis import Redis
from redis.exceptions import RedisError

from config import metrics, servers
from config.runtime import Runtime
from config.settings import settings
from jobs.errors import InvalidJob
from jobs.inbox import Inbox
from jobs.record import Job
from jobs.refusals import DOCTOR, PartlyAccepted
from providers.errors import scrub
from tasks.announce import Announcer
from tasks.arrivals import Arrivals
from tasks.clock import nudge
from tasks.intake import new_job, record_all
from tasks.repeat import Repeating
from tasks.ways import WORKFLOWS

logger = logging.getLogger(__name__)

#: Where clients send to that were told nothing about queues.
INTAKE_QUEUE = "celery"

#: Messages in one go; between two the worker's own loop runs.
_AT_ONCE = 50

#: Between two looks while Redis tells of arrivals, seconds: for what was taken and not done, and should one go unheard.
_SELDOM = 1.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """A Celery message of protocol 2, as far as it concerns us."""

    task: str
    job_id: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    eta: float | None  #: seconds since the epoch, if the caller asked for a countdown
    trace: object = None  #: the caller's `traceparent`, whatever it sent under that name


def decode(text: str) -> Trigger:
    """Read a message.

    Raises:
        InvalidJob: it is not a JSON message of Celery's protocol 2; the reason quotes nothing of it.
    """
    try:
        message = json.loads(text)
        headers, properties = message["headers"], message["properties"]
        if message.get("content-type") != "application/json":
            raise InvalidJob("the message is not JSON: set task_serializer to json")
        body = message["body"]
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body).decode(message.get("content-encoding") or "utf-8")
        args, kwargs, _ = loads(body)
        eta = headers.get("eta")
        trigger = Trigger(
            task=headers["task"],
            job_id=headers["id"],
            args=tuple(args),
            kwargs=dict(kwargs),
            eta=datetime.fromisoformat(eta).timestamp() if eta else None,
            trace=headers.get("traceparent"),
        )
    except InvalidJob:
        raise
    except Exception as error:  # whatever strangers push into the queue
        raise InvalidJob(f"not a Celery message of protocol 2 ({type(error).__name__})") from None
    if not isinstance(trigger.task, str) or not isinstance(trigger.job_id, str):
        raise InvalidJob("not a Celery message of protocol 2: task and id must be texts")
    return trigger


def receive(run: Runtime, inbox: Inbox, announcer: Announcer) -> int:
    """Take what waits and record it. Returns how many messages were taken.

    Raises:
        RedisError: Redis is away; what was taken is taken again after its lease.
    """
    taken = inbox.take(_AT_ONCE)
    jobs: dict[str, tuple[Job, str | None]] = {}
    for token, text in taken:
        try:
            jobs[token] = _job(run, text)
        except RedisError:
            raise
        except InvalidJob as error:
            logger.error("trigger_refused", extra={"fields": {"reason": str(error)}})
            metrics.refused()
            inbox.refuse(token, str(error))
        except Exception:  # a defect of ours: the others go on, and this one is taken again after its lease
            logger.exception("trigger_broke")
    inbox.done(_record(run, announcer, jobs))
    return len(taken)


def _job(run: Runtime, text: str) -> tuple[Job, str]:
    """The job that a message asks for, and the name of its task.

    Raises:
        InvalidJob: nobody here can do anything with it.
    """
    trigger = decode(text)
    workflow = WORKFLOWS.get(trigger.task.removeprefix("settle."))
    if workflow is None or not trigger.task.startswith("settle."):
        raise InvalidJob(f"no workflow {trigger.task[:100]!r}")
    request, args, kwargs = workflow.request, trigger.args, trigger.kwargs
    job = new_job(run, trigger.job_id, workflow.name, request, args, kwargs, eta=trigger.eta, trace=trigger.trace)
    return job, trigger.task


def _record(run: Runtime, announcer: Announcer, jobs: Mapping[str, tuple[Job, str | None]]) -> list[str]:
    """Record jobs by their tokens, all at once. Returns the tokens of those that are recorded."""
    try:
        record_all(run, announcer, list(jobs.values()))
    except PartlyAccepted as error:  # those are taken again after their lease; they keep no other one out
        done, refused = [], defaultdict(list)
        for (token, (job, _)), answer in zip(jobs.items(), error.answers, strict=True):
            if answer is None:
                refused[job.provider].append(job.id)
            else:
                done.append(token)
        _tell(run, {job.provider for job, _ in jobs.values()}, refused, str(error))
        return done
    except RedisError:
        raise
    except Exception:  # one of them that cannot be written must not keep the others out
        if len(jobs) == 1:
            logger.exception("trigger_broke")
            return []
        return [token for one, job in jobs.items() for token in _record(run, announcer, {one: job})]
    _tell(run, {job.provider for job, _ in jobs.values()}, {}, "")
    return list(jobs)


def _tell(run: Runtime, providers: Collection[str], refused: Mapping[str, Sequence[str]], reason: str) -> None:
    """Log of each provider once that Redis refuses to record its jobs, until it records them again."""
    for provider in providers:
        if not (ids := refused.get(provider)):
            run.causes.over(f"accept {provider}")
        elif run.causes.news(f"accept {provider}", reason):
            fields = {"provider": provider, "job_id": ids[0], "reason": scrub(reason), "remedy": DOCTOR}
            logger.error("jobs_not_recorded", extra={"fields": fields})


class Intake(Repeating):
    """The bootstep that receives triggers in workers of the intake queue."""

    what = "intake"

    def include_if(self, consumer: Any) -> bool:
        """Only where the intake queue is consumed, and the broker is a Redis."""
        return servers.redis_like(settings().broker()) and INTAKE_QUEUE in consumer.app.amqp.queues.consume_from

    def create(self, consumer: Any) -> Any:
        """Take the queue from the worker's own consumer. Called only if this step is included."""
        consumer.app.amqp.queues.deselect(INTAKE_QUEUE)
        return super().create(consumer)

    def prepare(self, consumer: Any) -> None:
        """Have a ledger and a connection to the broker of its own."""
        # Better a missed look than a long wait.
        self._run = Runtime(settings(), retries=0)
        inbox, clock = self._broker(), self._run.clock
        self._inbox = Inbox(inbox, INTAKE_QUEUE, lease=self._run.settings.lease, clock=clock)
        self._announcer = Announcer(consumer.app, consumer.hostname)
        self._arrivals = Arrivals(self._broker(protocol=3), INTAKE_QUEUE, self.nudge_soon)
        if consumer.hub is not None:  # without an event loop nobody can be woken
            self._arrivals.start()

    def _broker(self, **options: Any) -> Redis:
        own = self._run.settings
        timeouts = {"socket_timeout": 5, "socket_connect_timeout": 5}
        return servers.client(own, own.broker(), decode_responses=True, socket_keepalive=True, **timeouts, **options)

    def stop(self, consumer: Any) -> None:
        """Receive no more."""
        self._arrivals.stop()
        super().stop(consumer)

    shutdown = stop

    def look(self) -> float:
        """Receive what waits; look again at once if there may be more, and now and then if arrivals are told."""
        taken = receive(self._run, self._inbox, self._announcer)
        if taken:
            nudge()
        if taken == _AT_ONCE:
            return 0.0
        return _SELDOM if self._arrivals.listening else self._run.settings.clock_interval / 3
