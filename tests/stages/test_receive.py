"""The receipt of triggers: booked in the same step as taken, refused without a quote, never lost."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
import redis
from celery import Celery

from config.embedded import EmbeddedRedis
from jobs.errors import InvalidJob
from jobs.inbox import Inbox
from jobs.states import JobState
from tasks import receive as receiving
from tasks.announce import Announcer
from tasks.receive import decode, receive

from .conftest import BODY, Stage


@pytest.fixture
def inbox(stage: Stage, redis_client: redis.Redis) -> Inbox:
    """The inbox of the intake queue, on the clock of the stage."""
    return Inbox(redis_client, "celery", lease=30, clock=stage.clock)


@pytest.fixture
def client(redis_server: EmbeddedRedis, stage: Stage) -> Celery:
    """Another application."""
    app = Celery("another", broker=redis_server.url, backend=redis_server.url, set_as_current=False)
    stage.app.set_current()
    return app


def _receive(stage: Stage, inbox: Inbox) -> int:
    return receive(stage.run, inbox, Announcer(stage.app, "test"))


def test_a_message_of_any_client_becomes_a_job(
    stage: Stage, inbox: Inbox, client: Celery, redis_client: redis.Redis
) -> None:
    """`send_task` with nothing but a name; afterwards queue and book are empty."""
    client.send_task("settle.myipr.certify", kwargs={**BODY, "tags": {"a": "b"}}, task_id="j-1")
    assert _receive(stage, inbox) == 1
    assert stage.job().state is JobState.ACCEPTED
    assert stage.job().tags == {"a": "b"}
    assert redis_client.llen("celery") == 0
    assert redis_client.keys("settle:inbox:celery:[hl]*") == []
    assert _receive(stage, inbox) == 0


def test_what_was_taken_but_not_recorded_comes_back_after_the_lease(
    stage: Stage, inbox: Inbox, client: Celery, redis_client: redis.Redis
) -> None:
    """The worker died between receipt and ledger: the message is in the book, and is taken again."""
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-1")
    assert len(inbox.take(10)) == 1
    assert redis_client.llen("celery") == 0
    assert _receive(stage, inbox) == 0
    stage.clock.advance(31)
    assert _receive(stage, inbox) == 1
    assert stage.job().state is JobState.ACCEPTED


def test_a_message_recorded_twice_is_one_job(stage: Stage, inbox: Inbox, client: Celery) -> None:
    """The worker died between ledger and book: the second time it is the same job."""
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-1")
    ((_, text),) = inbox.take(10)
    trigger = decode(text)
    stage.trigger(trigger.job_id, **trigger.kwargs)
    stage.clock.advance(31)
    assert _receive(stage, inbox) == 1
    stage.finish()
    assert stage.script.count("submit") == 1


def test_many_are_taken_in_order_and_in_portions(stage: Stage, inbox: Inbox, client: Celery) -> None:
    """The oldest first, at most fifty in one go."""
    for number in range(60):
        client.send_task("settle.myipr.certify", kwargs=BODY, task_id=f"j-{number}")
    assert [_receive(stage, inbox), _receive(stage, inbox), _receive(stage, inbox)] == [50, 10, 0]
    assert len(stage.run.ledger.jobs("myipr")) == 60


def test_one_id_twice_in_one_go_is_one_job_and_with_another_body_none(
    stage: Stage, inbox: Inbox, client: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """Triggers that are recorded together are judged in their order."""
    for body in (BODY, BODY, {**BODY, "size": "13"}):
        client.send_task("settle.myipr.certify", kwargs=body, task_id="j-1")
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-2")
    with caplog.at_level(logging.INFO):
        assert _receive(stage, inbox) == 4
    said = [record.fields["answer"] for record in caplog.records if "trigger_" in record.message]  # type: ignore[attr-defined]
    assert said == ["created", "same", "conflict", "created"]
    assert (stage.job("j-1").request or {})["size"] == BODY["size"]
    assert _receive(stage, inbox) == 0


def test_a_countdown_of_the_caller_is_kept(stage: Stage, inbox: Inbox, client: Celery) -> None:
    """`send_task(countdown=…)` waits in the ledger, not in a worker; the deadline counts from its end."""
    import time

    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-1", countdown=3600)
    _receive(stage, inbox)
    job = stage.job()
    assert job.due_at == pytest.approx(time.time() + 3600, abs=30)
    assert job.deadline_at - (job.due_at or 0) == pytest.approx(stage.run.settings.providers()["myipr"].deadline)


@pytest.mark.parametrize("good", [True, False], ids=["trace", "rubbish"])
def test_the_callers_trace_is_kept(stage: Stage, inbox: Inbox, client: Celery, good: bool) -> None:
    """`traceparent` among the headers, where instrumented clients put it; what is none is no reason to refuse."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"traceparent": trace if good else {"a": 1}}
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-1", headers=headers)
    _receive(stage, inbox)
    assert stage.job().trace == (trace if good else None)


def _message(content: Any, **changes: Any) -> str:
    message = {
        "body": base64.b64encode(json.dumps(content).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "settle.myipr.certify", "id": "j-1"},
        "properties": {"body_encoding": "base64"},
    }
    return json.dumps({**message, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "\x00\x01",
        _message([[], {}]),
        _message("private text"),
        _message([[], ["private text"], {}]),
        _message([[], {}, {}], headers={}),
        _message([[], {}, {}], headers={"task": 7, "id": "j"}),
        _message([[], {}, {}], headers={"task": "settle.myipr.certify", "id": None}),
        _message([[], {}, {}], headers={"task": "someone.elses", "id": "private text"}),
        _message([[], {}, {}], headers={"task": "settle.no.such", "id": "j"}),
        _message([[], {}, {}], **{"content-type": "application/x-python-serialize"}),
        _message([[], {}, {}], body="%%%"),
        _message([[], {}, {}], body=7),
        _message([[], {}, {}], headers={"task": "settle.myipr.certify", "id": "j", "eta": "private text"}),
        "[" * 100_000,
    ],
    ids=range(19),
)
def test_rubbish_in_the_queue_is_refused_and_quoted_nowhere(
    stage: Stage, inbox: Inbox, redis_client: redis.Redis, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever strangers push: no crash, nothing stuck, the reason kept, the next message served."""
    redis_client.lpush("celery", text)
    redis_client.lpush("celery", _message([[], BODY, {}], headers={"task": "settle.myipr.certify", "id": "good"}))
    with caplog.at_level(logging.DEBUG):
        assert _receive(stage, inbox) == 2
    assert stage.job("good").state is JobState.ACCEPTED
    assert redis_client.keys("settle:inbox:celery:[hl]*") == []
    (reason,) = redis_client.lrange("settle:inbox:celery:refused", 0, -1)
    assert "private text" not in reason + caplog.text


def test_a_defect_of_ours_keeps_the_message(
    stage: Stage, inbox: Inbox, client: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception nobody thought of: the others go on, and the message is taken again after its lease."""
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-1")
    client.send_task("settle.myipr.certify", kwargs=BODY, task_id="j-2")
    real = receiving.record_all

    def broken(run: Any, announcer: Any, jobs: Any) -> None:
        if any(job.id == "j-1" for job, _ in jobs):
            raise RuntimeError("a defect")
        real(run, announcer, jobs)

    monkeypatch.setattr(receiving, "record_all", broken)
    assert _receive(stage, inbox) == 2
    assert stage.job("j-2").state is JobState.ACCEPTED
    monkeypatch.setattr(receiving, "record_all", real)
    stage.clock.advance(31)
    assert _receive(stage, inbox) == 1
    assert stage.job("j-1").state is JobState.ACCEPTED


def test_a_message_without_base64_is_read_too() -> None:
    """Clients of other languages may leave the body as it is."""
    text = _message(None, body=json.dumps([[], {"a": 1}, {}]), properties={})
    assert decode(text).kwargs == {"a": 1}


def test_an_unreadable_message_says_what_to_do() -> None:
    """The remedy is in the reason."""
    with pytest.raises(InvalidJob, match="task_serializer"):
        decode(_message([[], {}, {}], **{"content-type": "application/x-yaml"}))
