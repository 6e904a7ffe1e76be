"""Who waits is told: `AsyncResult(job_id)` is the job, and Flower shows one row for as long as the job lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Task, states
from kombu.exceptions import OperationalError

from jobs.errors import JobCancelled, JobExpired, JobFailed, JobUnsuccessful
from jobs.links import title
from jobs.record import Announcement, Job
from jobs.states import JobState

logger = logging.getLogger(__name__)

#: What stands where arguments would.
REDACTED = "<redacted>"

#: Task events in one message.
_EVENTS_AT_ONCE = 100

_RAISED: dict[JobState, type[JobUnsuccessful]] = {
    JobState.FAILED: JobFailed,
    JobState.EXPIRED: JobExpired,
    JobState.CANCELLED: JobCancelled,
}


def reason(job: Job) -> str:
    """Why a job did not succeed, in one sentence and with the remedy."""
    if job.failure is None:
        return f"{job.workflow} {job.id}: {job.state}"
    remedy = f" ({job.failure.remedy})" if job.failure.remedy else ""
    stopped = f"; not started: {', '.join(map(title, job.then))}" if job.broken else ""
    return f"{job.workflow} {job.id}: {job.failure.message}{remedy}{stopped}"


class Announcer:
    """Tells who waits, in the name of one worker. May be used from any thread of it.

    Args:
        app: the application; its result backend is where callers look.
        hostname: the worker, as Flower knows it.
    """

    def __init__(self, app: Celery, hostname: str | None) -> None:
        self._app = app
        self._hostname = str(hostname)
        self._gathered: list[Job] | None = None

    @classmethod
    def of(cls, task: Task) -> Announcer:
        """In the name of the worker that runs this task."""
        return cls(task.app, task.request.hostname)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Tell Flower of all moves made herein with one message, at the end. Not for more than one thread."""
        self._gathered = []
        try:
            yield
        finally:
            jobs, self._gathered = self._gathered, None
            if jobs:
                self.to_flower(jobs)

    def announcement(self, job: Job) -> Announcement:
        """The job as the result of the Celery task with its id, in the form that Celery's Redis backend reads."""
        backend: Any = self._app.backend
        status: str
        result: Any
        if job.state is JobState.SUCCEEDED:
            status, result = states.SUCCESS, job.outcome()
        elif job.finished:
            status, result = states.FAILURE, backend.prepare_exception(_RAISED[job.state](reason(job)), "json")
        else:
            status, result = job.state.value.upper(), job.outcome()
        meta = {
            "status": status,
            "result": result,
            "traceback": None,
            "children": [],
            "date_done": self._app.now().isoformat() if job.finished else None,
            "task_id": job.id,
        }
        if status == states.FAILURE:  # beside what Celery raises: kind, message and remedy, for clients that look
            meta["outcome"] = job.outcome()
        key = backend.get_key_for_task(job.id)
        return Announcement(
            key=key.decode() if isinstance(key, bytes) else str(key),
            value=str(backend.encode(meta)),
            ttl=int(self._app.conf.result_expires),
        )

    def to_flower(self, jobs: Iterable[Job], *, received: str | None = None) -> None:
        """Send the task events of jobs that moved. An event that cannot be sent is no reason to stop a job.

        Args:
            jobs: as they are now.
            received: the name of their entry task, if Flower has not seen it yet; its arguments are never shown.
        """
        if self._gathered is not None and received is None:
            self._gathered += jobs
            return
        try:
            with (
                self._app.amqp.producer_pool.acquire(block=True) as producer,
                # One message for all of them: each of its own costs as much as a poll.
                self._app.events.Dispatcher(
                    producer.connection,
                    hostname=self._hostname,
                    channel=producer.channel,
                    buffer_while_offline=False,
                    buffer_group=frozenset({"task"}),
                    buffer_limit=_EVENTS_AT_ONCE,
                ) as dispatcher,
            ):
                for job in jobs:
                    family = {"root_id": job.root or job.id, "parent_id": job.parent}
                    if received is not None:
                        shown = {"name": received, "args": REDACTED, "kwargs": REDACTED, "retries": 0}
                        dispatcher.send("task-received", uuid=job.id, **family, **shown)
                        dispatcher.send("task-started", uuid=job.id, **family)
                    kind, fields = _event(job)
                    dispatcher.send(kind, uuid=job.id, **family, **fields)
                dispatcher.flush()
        except (OperationalError, OSError) as error:
            logger.warning("flower_not_told", extra={"fields": {"error": type(error).__name__}})


def _event(job: Job) -> tuple[str, dict[str, Any]]:
    runtime = job.updated_at - job.created_at
    if job.state is JobState.SUCCEEDED:
        return "task-succeeded", {"result": repr(job.outcome().get("result")), "runtime": runtime}
    if job.finished:
        return "task-failed", {"exception": reason(job), "traceback": "", "runtime": runtime}
    return f"task-{job.state.value}", {}
