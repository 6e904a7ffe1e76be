"""A damaged key of one provider: the jobs of others are received, woken and finished, and the log says why, once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import ResponseError

from config.embedded import EmbeddedRedis
from jobs.inbox import Inbox
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from tasks import clock as ticking
from tasks.announce import Announcer
from tasks.clock import Clock
from tasks.emit import emit_held
from tasks.receive import receive

from .conftest import BODY, Stage


@pytest.fixture
def house(stage: Stage, redis_client: redis.Redis) -> Stage:
    """The stage with its ledger in Redis."""
    stage.run.ledger = Ledger(redis_client, clock=stage.clock)
    return stage


def _damage(client: redis.Redis, part: str, provider: str = "commonsdb") -> None:
    client.lpush(f"settle:{{{provider}}}:{part}", "a message")


def _logged(caplog: pytest.LogCaptureFixture, what: str) -> list[dict[str, Any]]:
    return [record.fields for record in caplog.records if record.message == what]  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", ["due", "gate", "bundles", "done"])
def test_the_clock_of_other_providers_goes_on(
    house: Stage, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    """With a list in the place of a key of CommonsDB a certificate comes to its end; told again when it comes back."""
    _damage(redis_client, part)
    house.trigger(**BODY)
    assert house.finish().state is JobState.SUCCEEDED
    house.tick()
    ((fields,),) = [_logged(caplog, "claims_refused")]
    assert fields["provider"] == "commonsdb"
    assert "WRONGTYPE" in fields["reason"]
    assert "settle doctor" in fields["remedy"]
    redis_client.delete(f"settle:{{commonsdb}}:{part}")
    house.tick()
    _damage(redis_client, part)
    house.tick()
    assert len(_logged(caplog, "claims_refused")) == 2


def test_a_damaged_record_costs_its_job_alone(
    house: Stage, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the same provider."""
    house.trigger("j-0", **BODY)
    house.trigger("j-1", **BODY)
    redis_client.delete("settle:{myipr}:job:j-0")
    _damage(redis_client, "job:j-0", "myipr")
    assert house.finish("j-1").state is JobState.SUCCEEDED
    house.clock.advance(31)
    house.tick()
    assert [fields["job_id"] for fields in _logged(caplog, "record_damaged")] == ["j-0"]


def test_a_refused_message_of_one_provider_stops_no_other(
    house: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused by the broker for good: logged. An outage is one of all."""
    said: list[Exception] = [ResponseError("NOPERM No permissions to access a key")]
    real = ticking._publish

    def publish(run: Any, provider: str, bundle: Any) -> None:
        if provider == "myipr":
            raise OperationalError("it does not say") from said[0]
        real(run, provider, bundle)

    monkeypatch.setattr(ticking, "_publish", publish)
    house.trigger(**BODY)
    house.tick()
    assert [fields["provider"] for fields in _logged(caplog, "claims_refused")] == ["myipr"]
    said[0] = ResponseError("LOADING Redis is loading the dataset in memory")
    house.clock.advance(31)
    with pytest.raises(OperationalError):
        house.tick()


def test_triggers_for_other_providers_are_recorded(
    house: Stage, redis_client: redis.Redis, redis_server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the damaged one stay in the book; once it is mended they become jobs."""
    inbox = Inbox(redis_client, "celery", lease=30, clock=house.clock)
    announcer = Announcer(house.app, "test")
    with Celery("another", broker=redis_server.url, set_as_current=False) as client:
        _damage(redis_client, "due")
        for number in range(3):
            declaration = {"declaration": {}}
            client.send_task("settle.commonsdb.declare", kwargs=declaration, task_id=f"c-{number}", queue="celery")
            client.send_task("settle.myipr.certify", kwargs=BODY, task_id=f"m-{number}", queue="celery")
    house.app.set_current()
    assert receive(house.run, inbox, announcer) == 6
    assert [job.id for job in house.run.ledger.read(["m-0", "m-1", "m-2"]) if isinstance(job, Job)] == [
        "m-0",
        "m-1",
        "m-2",
    ]
    assert inbox.held() == 3
    house.clock.advance(31)
    assert receive(house.run, inbox, announcer) == 3
    assert [fields["provider"] for fields in _logged(caplog, "jobs_not_recorded")] == ["commonsdb"]
    redis_client.delete("settle:{commonsdb}:due")
    house.clock.advance(31)
    assert receive(house.run, inbox, announcer) == 3
    assert inbox.held() == 0
    assert house.job("c-0").provider == "commonsdb"


def test_a_link_into_a_damaged_provider_waits(house: Stage, redis_client: redis.Redis) -> None:
    """Until a person has mended it; its neighbours in the same message end."""
    link = {"workflow": "unique_tokens.produce", "kwargs": {}}
    house.trigger("j-1", **BODY)
    house.trigger("j-2", **BODY)
    jobs = [replace(house.job(name), state=JobState.EMITTING) for name in ("j-1", "j-2")]
    _damage(redis_client, "due", "unique_tokens")
    states = emit_held(house.run, Announcer(house.app, "test"), house.app, [replace(jobs[0], then=(link,)), jobs[1]])
    assert states == [JobState.EMITTING, JobState.SUCCEEDED]


class _Timer:
    def call_after(self, seconds: float, *_: Any) -> _Timer:
        return self


class _Consumer:
    hub = None
    timer = _Timer()


def test_what_is_refused_to_a_loop_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is another cause, or is over."""
    wrong = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    other = ResponseError("NOPERM No permissions to access a key")
    turns = iter([wrong, wrong, wrong, other, other, None, other])

    def look(_: Clock) -> float:
        if (error := next(turns)) is not None:
            raise error
        return 1.0

    monkeypatch.setattr(Clock, "look", look)
    clock: Any = Clock(_Consumer())
    with caplog.at_level(logging.WARNING):
        for _ in range(7):
            clock._look(_Consumer())
    reasons = [fields["reason"].split()[0] for fields in _logged(caplog, "clock_waits")]
    assert reasons == ["WRONGTYPE", "NOPERM", "NOPERM"]
