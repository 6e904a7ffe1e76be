"""The entry task by itself, as it runs with another broker than Redis: no trigger is held in memory, none is lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery.exceptions import Ignore, Reject
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.errors import JobNotFound
from jobs.states import JobState
from tasks import intake
from tests.newer import make_newer

from .conftest import BODY, Stage

LATER = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_message_for_later_is_not_held(stage: Stage) -> None:
    """The worker sees no countdown and no expiry; the task finds the time in a header of ours."""
    message = SimpleNamespace(
        headers={"id": "j-1", "task": "settle.myipr.certify", "eta": LATER.isoformat(), "expires": LATER.isoformat()},
        body=b"[[], {}, {}]",
        content_type="application/json",
        content_encoding="utf-8",
        properties={},
        delivery_info={},
        payload=[[], {}, {}],
    )
    request = intake.RedactedRequest(
        message, app=stage.app, task=stage.app.tasks["settle.myipr.certify"], body=[[], {}, {}], decoded=True
    )
    assert (request.eta, request.expires) == (None, None)
    assert request.request_dict["settle_start"] == LATER.isoformat()


def _run(stage: Stage, **request: Any) -> None:
    task = stage.app.tasks["settle.myipr.certify"]
    task.push_request(id="j-1", hostname="test", **request)
    try:
        task.run(**BODY)
    finally:
        task.pop_request()


def test_the_job_waits_instead(stage: Stage) -> None:
    """Due at the time that the caller gave, and its deadline counts from then."""
    with pytest.raises(Ignore):
        _run(stage, settle_start=LATER.isoformat())
    job = stage.job()
    assert (job.state, job.due_at) == (JobState.ACCEPTED, LATER.timestamp())
    assert job.deadline_at > LATER.timestamp()


def test_rubbish_for_a_time_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """With a reason that quotes nothing."""
    with caplog.at_level(logging.ERROR), pytest.raises(Ignore):
        _run(stage, settle_start="a private text")
    assert "eta: not a time" in str([record.__dict__.get("fields") for record in caplog.records])
    assert "private" not in caplog.text
    with pytest.raises(JobNotFound):
        stage.job()


def test_a_trigger_waits_for_the_ledger(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that fails is acknowledged, and the trigger would be gone: so it does not fail."""
    real, left = stage.run.ledger.accept_all, [RedisConnectionError("away")] * 3

    def accept_all(jobs: Any) -> Any:
        if left:
            raise left.pop()
        return real(jobs)

    monkeypatch.setattr(stage.run.ledger, "accept_all", accept_all)
    monkeypatch.setattr(intake.time, "sleep", lambda _: None)
    stage.trigger()
    assert not left
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_trigger_goes_back_to_the_broker_in_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a time limit kills the worker's child: the broker delivers it again."""

    def away(_: Any) -> Any:
        raise RedisConnectionError("away")

    slept: list[float] = []
    monkeypatch.setattr(stage.run.ledger, "accept_all", away)
    monkeypatch.setattr(intake.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(intake.time, "sleep", slept.append)
    with pytest.raises(Reject) as caught:
        _run(stage)
    assert caught.value.requeue
    assert 0.4 < sum(slept) / stage.run.settings.stage_time_limit < 0.6
    assert not intake.Entry.acks_on_timeout  # and if it were killed all the same, it is not acknowledged either


def test_a_trigger_of_a_job_of_a_newer_version_is_that_job(stage: Stage, redis_client: redis.Redis) -> None:
    """Whatever its record says: it is acknowledged, as any trigger that comes twice."""
    stage.trigger()
    make_newer(redis_client, "myipr", "j-1")
    stage.trigger()
