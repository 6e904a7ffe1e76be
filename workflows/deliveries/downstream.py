"""One downstream task: a Celery task of another application, sent for an event, by its name and queue."""

from __future__ import annotations

import asyncio

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.targets import DownstreamSettings
from jobs.events import JobEvent
from jobs.refusals import refusal
from providers.errors import scrub
from workflows.deliveries import Answer, Result

#: What stands where arguments would.
_REDACTED = "<redacted>"
#: A broker that does not answer is tried again by the outbox.
_PUBLISH = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.2}


class TaskCarrier:
    """Sends one task.

    Args:
        own: its settings.
        name: of the target; part of the task's id, so that two targets of one event do not share a result.
        app: whose broker it is.
    """

    longest = 60.0

    def __init__(self, own: DownstreamSettings, name: str, app: Celery) -> None:
        self._own, self._name, self._app = own, name, app

    async def send(self, event: JobEvent) -> Answer:
        """Send the task, under an id that is the same each time."""
        try:
            await asyncio.to_thread(self._publish, event)
        except (OperationalError, RedisError, AMQPError, OSError) as error:
            if reason := refusal(error):
                return Answer(Result.REFUSED, f"refused with: {scrub(reason)}")
            return Answer(Result.LATER, f"the broker does not answer ({type(error).__name__})")
        return Answer(Result.SENT, "published")

    def _publish(self, event: JobEvent) -> None:
        outcome = event.data.outcome
        self._app.send_task(
            self._own.task,
            kwargs={"event": event.model_dump(mode="json", exclude_none=True)},
            task_id=f"{event.job_id}.{event.seq}.{self._name}",
            queue=self._own.queue,
            root_id=(outcome.root if outcome is not None else None) or event.job_id,
            parent_id=event.job_id,
            argsrepr="()",
            kwargsrepr=_REDACTED,
            retry_policy=_PUBLISH,
        )

    async def close(self) -> None:
        """The application's connections live as long as the process."""
