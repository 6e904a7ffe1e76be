"""The way to Settle: one Celery message per job."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack, cast

from celery import Celery
from kombu.exceptions import OperationalError

from settle_client.errors import InvalidJob, NotSent, WrongApplication
from settle_client.handle import Handle
from settle_client.shapes import Member, Options
from settle_client.workflows import CommonsDB, LettrLabs, MyIPR, UniqueTokens

#: What can stand in a key, a file name and a command line. Settle refuses any other id, and nobody would be told.
_JOB_ID = re.compile(r"[!-~]{1,200}")

#: The queue of Settle's entry tasks.
_QUEUE = "celery"


class Settle:
    """A connection to Settle. Keep one per process; threads may share it.

    Args:
        broker: the address of the broker, `redis://…`, `rediss://…`, `amqp://…`, or `sentinel://…;sentinel://…`;
            or a Celery application whose broker and results are Settle's.
        backend: where Settle's Redis is, if that is not the broker.
        master_name: the name of the primary, behind Sentinel.
        conf: more of Celery's own settings, as `app.conf` has them.
        patience: how long to try to reach the broker for one job, seconds; the last attempt may take some more.

    Raises:
        WrongApplication: this application could not reach Settle.
    """

    def __init__(
        self,
        broker: str | Celery,
        backend: str | None = None,
        *,
        master_name: str | None = None,
        conf: Mapping[str, Any] | None = None,
        patience: float = 30.0,
    ) -> None:
        self._own = not isinstance(broker, Celery)
        self._patience = patience
        if isinstance(broker, Celery):
            if backend is not None or master_name is not None or conf is not None:
                raise WrongApplication("app: it has its own broker, backend and settings; give nothing beside it")
            self.app = broker
        else:
            self.app = _application(broker, backend, master_name, conf or {})
        _check(self.app)
        self.commonsdb = CommonsDB(self._trigger)
        self.myipr = MyIPR(self._trigger)
        self.unique_tokens = UniqueTokens(self._trigger)
        self.lettrlabs = LettrLabs(self._trigger)

    def group(
        self, *, jobs: Sequence[Member], success: Literal["all", "any"] | None = None, **options: Unpack[Options]
    ) -> Handle:
        """Trigger many jobs with one outcome for all.

        Args:
            jobs: the members.
            success: how many must succeed for the group to succeed; all, if not given.
            options: see `Options`.
        """
        return self._trigger("group", {"jobs": jobs, "success": success}, options)

    def send(self, workflow: str, arguments: Mapping[str, Any], **options: Unpack[Options]) -> Handle:
        """Trigger any workflow by its name: one of another package, say. Nobody tells if there is none of that name.

        Args:
            workflow: its name, as in `acme.order`.
            arguments: of the workflow.
            options: see `Options`.

        Raises:
            InvalidJob: it can never work.
            NotSent: the broker did not take it in time.
        """
        return self._trigger(workflow, arguments, options)

    def job(self, job_id: str) -> Handle:
        """A job that was triggered before, by anybody.

        Raises:
            InvalidJob: no job can have this id.
        """
        return Handle(self.app, _checked(job_id))

    def close(self) -> None:
        """Close the connections, unless the application is the caller's own."""
        if self._own:
            self.app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _trigger(self, workflow: str, arguments: Mapping[str, Any], options: Options, /) -> Handle:
        given = {name: value for name, value in arguments.items() if value is not None}
        beside = cast("dict[str, Any]", options)
        if unknown := beside.keys() - Options.__annotations__.keys():
            raise TypeError(f"{sorted(unknown)[0]}: {workflow} takes no such argument")
        job_id = _checked(beside["job_id"] if "job_id" in beside else str(uuid.uuid4()))
        given |= {name: value for name, value in beside.items() if name != "job_id"}
        for name, value in given.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise InvalidJob(f"{name}: cannot be written as JSON ({error}); give texts and numbers") from None
        self._publish(f"settle.{workflow.removeprefix('settle.')}", given, job_id)
        return Handle(self.app, job_id)

    def _publish(self, task: str, kwargs: Mapping[str, Any], job_id: str) -> None:
        """Send a message, again if it may not have arrived: its id makes both one job.

        Raises:
            NotSent: not in time.
        """
        connection = self.app.connection_for_write()
        # The last of these is what a stock kombu 5.7 raises when a Redis connection was lost under it.
        lost = cast(
            "tuple[type[Exception], ...]",
            (OperationalError, *connection.connection_errors, *connection.channel_errors, AttributeError),
        )
        end, pause = time.monotonic() + self._patience, 0.1
        while True:
            try:
                self.app.send_task(
                    task,
                    kwargs=dict(kwargs),
                    task_id=job_id,
                    queue=_QUEUE,
                    priority=0,  # whatever a route says: another one would be another list in Redis, which nobody reads
                    serializer="json",
                    # Else the message's headers hold the arguments in clear text, and so does Flower.
                    kwargsrepr="<redacted>",
                    add_to_parent=False,
                    # For Celery here, not for Settle: else each send subscribes to its result first, and when Redis is
                    # away that takes 20 s and ends in a RuntimeError.
                    ignore_result=True,
                    headers={"ignore_result": False},
                    retry_policy={"max_retries": 1},
                )
                return
            except lost as error:
                if time.monotonic() + pause > end:
                    raise NotSent(job_id, self._patience, type(error).__name__) from error
                time.sleep(pause)
                pause = min(2 * pause, 2.0)


def _checked(job_id: str) -> str:
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InvalidJob("job_id: use a text of 1 to 200 printable ASCII characters without spaces")
    return job_id


def _application(broker: str, backend: str | None, master_name: str | None, conf: Mapping[str, Any]) -> Celery:
    on_redis = broker.startswith(("redis", "sentinel"))
    primary = {"master_name": master_name} if master_name is not None else {}
    waits = {"socket_connect_timeout": 5, "socket_timeout": 15, "socket_keepalive": True}
    app = Celery(
        "settle_client", broker=broker, backend=backend or (broker if on_redis else None), set_as_current=False
    )
    app.conf.update(
        # RabbitMQ: what was published counts when it says so.
        broker_transport_options={**waits, **primary} if on_redis else {"confirm_publish": True},
        result_backend_transport_options=primary,
        result_backend_always_retry=True,
        result_backend_max_retries=10,
        redis_socket_connect_timeout=5,
        redis_socket_keepalive=True,
    )
    app.conf.update(conf)
    return app


def _check(app: Celery) -> None:
    """Refuse an application whose messages Settle would never read: nobody would be told of it later."""
    own = "; use an application of its own for Settle"
    if app.conf.task_protocol != 2:
        raise WrongApplication(f"task_protocol: Settle reads Celery's protocol 2 only{own}")
    if app.conf.task_compression:
        raise WrongApplication(f"task_compression: Settle reads no compressed messages{own}")
    for setting in ("broker_transport_options", "result_backend_transport_options"):
        if (app.conf[setting] or {}).get("global_keyprefix"):
            raise WrongApplication(f"{setting}.global_keyprefix: Settle's keys have no prefix{own}")
