"""A job as its caller holds it: Celery's `AsyncResult` with types."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.backends.base import DisabledBackend
from celery.exceptions import BackendError
from celery.result import AsyncResult
from redis.exceptions import RedisError

from settle_client.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    JobUnsuccessful,
    StillRunning,
    Unreachable,
    WrongApplication,
)
from settle_client.outcome import Outcome, State

_RAISED: dict[State, type[JobUnsuccessful]] = {
    State.FAILED: JobFailed,
    State.EXPIRED: JobExpired,
    State.CANCELLED: JobCancelled,
}


class Handle:
    """One job. Cheap to make and to keep; every look asks Redis.

    Args:
        app: whose results are Settle's.
        job_id: of the job.
    """

    def __init__(self, app: Celery, job_id: str) -> None:
        self._app = app
        self.id = job_id

    def __repr__(self) -> str:
        return f"Handle({self.id!r})"

    @property
    def result(self) -> AsyncResult[Any]:
        """Celery's own handle of the same job."""
        return AsyncResult(self.id, app=self._app)

    def look(self) -> Outcome | None:
        """What is known of the job now; none while no worker has taken the trigger, or if Settle has forgotten it.

        Raises:
            Unreachable: Redis could not be asked.
            WrongApplication: the application has no result backend.
        """
        meta = self._meta()
        found = meta.get("outcome") if meta["status"] == "FAILURE" else meta.get("result")
        return Outcome.of(found) if isinstance(found, dict) and "job_id" in found else None

    @property
    def state(self) -> State:
        """Where the job is."""
        return _state(self._meta())

    @property
    def progress(self) -> int | None:
        """How far the provider is, per cent; none if it does not tell."""
        seen = self.look()
        return seen.progress if seen else None

    def wait(self, timeout: float | None = None, *, interval: float = 0.5) -> Outcome:
        """Wait for the end of the job; better not inside a Celery task, whose worker would be held by it.

        Args:
            timeout: seconds; as long as it takes if not given.
            interval: seconds between two looks.

        Raises:
            JobFailed: it failed; `kind`, `message` and `remedy` tell why.
            JobExpired: its deadline passed; the remote outcome is unknown.
            JobCancelled: somebody cancelled it.
            StillRunning: it has not ended in that time.
            Unreachable: Redis could not be asked.
            WrongApplication: the application has no result backend.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.state.finished:
            self._pause(end, timeout, interval)
        return self.outcome()

    def outcome(self) -> Outcome:
        """What came of a job that has ended; does not wait.

        Raises:
            JobUnsuccessful: as `wait` does.
            StillRunning: it has not ended.
            Unreachable: Redis could not be asked.
        """
        meta = self._meta()
        state = _state(meta)
        if not state.finished:
            raise StillRunning(self.id, 0)
        if state is State.SUCCEEDED:
            return Outcome.of(meta["result"])
        told = Outcome.of(meta["outcome"]) if meta.get("outcome") else None
        if told and told.error:
            kind, message, remedy = told.error.kind, told.error.message, told.error.remedy
            message += f"; not started: {', '.join(told.stopped)}" if told.stopped else ""
        else:
            kind, message, remedy = state.value, str(meta["result"]), None
        raise _RAISED[state](self.id, kind, message, remedy, told)

    def follow(self, timeout: float | None = None, *, interval: float = 0.5) -> Iterator[Outcome]:
        """What is known of the job, each time it has changed; the last is its end, with success or without.

        Looks at an interval: of changes that follow each other faster only the last is seen.

        Args:
            timeout: seconds; as long as it takes if not given.
            interval: seconds between two looks.

        Raises:
            StillRunning: it has not ended in that time.
            Unreachable: Redis could not be asked.
            WrongApplication: the application has no result backend.
        """
        end = None if timeout is None else time.monotonic() + timeout
        before: Outcome | None = None
        while before is None or not before.state.finished:
            seen = self.look()
            if seen is not None and seen != before:
                before = seen
                yield seen
                continue
            self._pause(end, timeout, interval)

    def _pause(self, end: float | None, timeout: float | None, interval: float) -> None:
        if end is not None and time.monotonic() >= end:
            raise StillRunning(self.id, timeout or 0)
        time.sleep(interval if end is None else min(interval, max(0.0, end - time.monotonic())))

    def _meta(self) -> dict[str, Any]:
        backend: Any = self._app.backend
        if isinstance(backend, DisabledBackend):
            raise WrongApplication("backend: give the address of Settle's Redis; results are there")
        try:
            meta: dict[str, Any] = backend.get_task_meta(self.id, cache=False)
        except (BackendError, RedisError) as error:
            raise Unreachable(self.id, type(error).__name__) from error
        return meta


def _state(meta: dict[str, Any]) -> State:
    if meta["status"] == "SUCCESS":
        return State.SUCCEEDED
    if meta["status"] != "FAILURE":
        return State(meta["status"].lower())
    if meta.get("outcome"):
        return State(meta["outcome"]["state"])
    named = {kind.__name__: state for state, kind in _RAISED.items()}
    return named.get(type(meta["result"]).__name__, State.FAILED)
