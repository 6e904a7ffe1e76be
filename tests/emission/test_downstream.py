"""Downstream tasks: a Celery task of another application for each event that it wants, whatever the outcome."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis
from celery import Celery

from jobs.events import JobEvent
from workflows.deliveries import outbox, targets
from workflows.deliveries.downstream import TaskCarrier
from workflows.deliveries.runner import Serving

from .conftest import WAY, House, drained, together


@pytest.fixture
def app(house: House) -> Any:
    """An application whose broker is a Redis."""
    app = Celery("test", broker=house.url, set_as_current=False)
    yield app
    app.close()


def _serving(house: House, app: Celery, name: str = "billing") -> Serving:
    own = house.run.settings.downstream[name]
    return Serving(house.run, name, targets(house.run)[name], TaskCarrier(own, name, app))


def _messages(client: redis.Redis, queue: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Headers and keyword arguments of what waits, first come first."""
    raw = [json.loads(text) for text in client.lrange(queue, 0, -1)][::-1]  # type: ignore[union-attr]
    return [(each["headers"], json.loads(base64.b64decode(each["body"]))[1]) for each in raw]


def test_every_outcome_starts_the_task(house: House, app: Celery, redis_client: redis.Redis) -> None:
    """Failed ones too; under an id made of the job's, with the event as its argument, and no argument in a header."""
    house.targets(downstream={"billing": {"task": "billing.ended", "queue": "billing"}})
    serving = _serving(house, app)
    together(drained(serving))
    house.job("a", *WAY, result={"n": 1})
    house.job("b", "failed", provider="lettrlabs")
    together(drained(serving))
    sent = sorted(_messages(redis_client, "billing"), key=lambda pair: pair[0]["id"])
    assert [(headers["task"], headers["id"], headers["root_id"]) for headers, _ in sent] == [
        ("billing.ended", "a.4.billing", "a"),
        ("billing.ended", "b.2.billing", "b"),
    ]
    assert all((headers["argsrepr"], headers["kwargsrepr"]) == ("()", "<redacted>") for headers, _ in sent)
    event = JobEvent.model_validate(sent[0][1]["event"])
    assert event.data.outcome is not None
    assert event.data.outcome.result == {"n": 1}
    assert sent[1][1]["event"]["target"] == "failed"


def test_the_tasks_of_one_job_are_sent_in_order(house: House, app: Celery, redis_client: redis.Redis) -> None:
    """Each after the one before is in the queue."""
    states = ["accepted", *WAY]
    house.targets(downstream={"billing": {"task": "billing.moved", "queue": "billing", "states": states}})
    serving = _serving(house, app)
    together(drained(serving))
    for name in ("a", "b", "c"):
        house.job(name, *WAY)
    together(drained(serving))
    told = [(kwargs["event"]["job_id"], kwargs["event"]["seq"]) for _, kwargs in _messages(redis_client, "billing")]
    assert len(told) == 12
    for name in ("a", "b", "c"):
        assert [seq for job_id, seq in told if job_id == name] == [1, 2, 3, 4]


def test_a_broker_that_is_away_is_tried_again(house: House) -> None:
    """Nothing is lost, nothing given up within a day."""
    house.targets(downstream={"billing": {"task": "billing.ended", "queue": "billing"}})
    with Celery("test", broker="redis://127.0.0.1:9/0", set_as_current=False) as away:
        serving = _serving(house, away)
        together(drained(serving))
        house.job("a", "failed")
        together(drained(serving))
        standing = outbox(house.run, "billing").standing()
        assert (standing.waiting, standing.failed, standing.dead) == (1, 1, 0)


def test_what_the_broker_refuses_is_given_up_with_its_reason(
    house: House, app: Celery, redis_client: redis.Redis
) -> None:
    """At once, and kept: a person mends the queue and replays it."""
    house.targets(downstream={"billing": {"task": "billing.ended", "queue": "billing"}})
    serving = _serving(house, app)
    together(drained(serving))
    redis_client.set("billing", "a text")
    house.job("a", "failed")
    together(drained(serving))
    box = outbox(house.run, "billing")
    (letter,) = box.letters()
    assert letter.reason.startswith("refused with: WRONGTYPE Operation against a key")
    assert box.standing().waiting == 0
    redis_client.delete("billing")
    assert box.replay([letter]) == 1
    together(drained(serving))
    assert [headers["id"] for headers, _ in _messages(redis_client, "billing")] == ["a.2.billing"]


def test_a_full_broker_is_tried_again(
    house: House, app: Celery, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an outage, as a broker that is away."""
    house.targets(downstream={"billing": {"task": "billing.ended", "queue": "billing"}})
    serving = _serving(house, app)
    together(drained(serving))
    house.job("a", "failed")

    def full(*_: Any, **__: Any) -> None:
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(app, "send_task", full)
    together(drained(serving))
    standing = outbox(house.run, "billing").standing()
    assert (standing.waiting, standing.failed, standing.dead) == (1, 1, 0)


@pytest.mark.parametrize("begun", [True, False])
def test_a_damaged_stream_holds_back_its_own_events_only(
    house: House, app: Celery, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    """Whether it was so from the start or not; mended, its provider's events are brought again."""
    house.targets(downstream={"billing": {"task": "billing.ended", "queue": "billing"}})
    serving = _serving(house, app)
    if begun:
        together(drained(serving))
    redis_client.lpush("settle:{commonsdb}:events", "a message")
    together(drained(serving))
    house.job("a", "failed")
    together(drained(serving))
    redis_client.delete("settle:{commonsdb}:events")
    together(drained(serving))
    house.job("c", "failed", provider="commonsdb")
    together(drained(serving))
    sent = [headers["id"] for headers, _ in _messages(redis_client, "billing")]
    assert sent == ["a.2.billing", "c.2.billing"]
    if begun:
        assert [record.message for record in caplog.records].count("events_not_read") == 1
