"""Flower's own ways to publish a message or to consume a queue, without names that could be keys of Settle."""

from __future__ import annotations

from typing import Any

from flower.api.control import WorkerQueueAddConsumer
from flower.api.tasks import TaskApply, TaskAsyncApply, TaskSend
from tornado.routing import URLSpec
from tornado.web import HTTPError, authenticated

from jobs.names import check_queue

#: The options of a message that lead to a key.
_FIELDS = ("queue", "exchange", "routing_key", "reply_to")


def _check(field: str, name: Any) -> None:
    from config.celery_app import QUEUES  # late: the application reads its settings

    try:
        if name not in QUEUES:
            check_queue(name)
    except ValueError as error:
        raise HTTPError(400, f"{field}: {error}") from None


class _Checked:
    """What a person may add to a message."""

    def get_task_args(self) -> tuple[Any, Any, dict[str, Any]]:
        """As Flower reads them.

        Raises:
            HTTPError: 400, a name could be a key of Settle.
        """
        args, kwargs, options = super().get_task_args()  # type: ignore[misc]
        for field in _FIELDS:
            if options.get(field):
                _check(field, options[field])
        return args, kwargs, options


class Apply(_Checked, TaskApply):
    """Publish and wait."""


class AsyncApply(_Checked, TaskAsyncApply):
    """Publish a task that is known."""


class Send(_Checked, TaskSend):
    """Publish any task."""


class AddConsumer(WorkerQueueAddConsumer):
    """Have a worker consume one more queue."""

    @authenticated
    async def post(self, workername: str) -> None:
        """As Flower does it.

        Raises:
            HTTPError: 400, the queue could be a key of Settle.
        """
        _check("queue", self.get_argument("queue"))
        await super().post(workername)


def specs(prefix: str) -> list[URLSpec]:
    """In the place of Flower's own, below its prefix."""
    handlers = {"apply": Apply, "async-apply": AsyncApply, "send-task": Send}
    return [
        *(URLSpec(f"{prefix}/api/task/{path}/(.+)", handler) for path, handler in handlers.items()),
        URLSpec(f"{prefix}/api/worker/queue/add-consumer/(.+)", AddConsumer),
    ]
