"""What a caller names as task or queue is refused if it could be a key of ours, at the trigger and at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import ResponseError

from config.embedded import EmbeddedRedis
from jobs.errors import InvalidJob
from jobs.names import MALFORMED
from jobs.record import Job
from jobs.states import JobState
from providers.trigger import request_of
from tasks.announce import Announcer
from tasks.intake import validate
from tasks.links import Followed, follow

from .conftest import BODY, Stage

#: A queue, or a task, that is a key or a task of ours, or no name at all.
BAD = [
    {"queue": "settle:{commonsdb}:due"}, {"queue": "settle:owner:j-2"}, {"queue": "celery-task-meta-j-2"},
    {"queue": "celery.pidbox"}, {"queue": "celery\x06\x169"}, {"queue": "ѕettle.poll"}, {"queue": ""},
    {"queue": "billing\n"}, {"queue": " billing"}, {"queue": "Settle.poll"}, {"queue": "q" * 10_000}, {"queue": 7},
    {"task": "a\nERROR provider_paused"}, {"task": "celery.backend_cleanup"}, {"task": ""}, {"task": "t" * 10_000},
]  # fmt: skip


def told(**changes: Any) -> dict[str, Any]:
    """A link to another application."""
    return {"task": "billing.paid", "queue": "billing", **changes}


def member(*then: Any) -> dict[str, Any]:
    """The member of a group, with what follows it."""
    return {"workflow": "myipr.certify", "kwargs": BODY, "then": list(then)}


def group(*jobs: Any) -> dict[str, Any]:
    """A group as a link."""
    return {"workflow": "group", "kwargs": {"jobs": list(jobs)}}


#: Every place in a trigger of a certificate where a link may stand.
PLACES: dict[str, Any] = {
    "then": lambda link: [link],
    "later": lambda link: [told(), link],
    "then-of-a-member": lambda link: [group(member(link))],
    "then-of-a-member-of-a-member": lambda link: [group({**group(member(link)), "then": []})],
    "then-of-a-group-in-then-of-a-member": lambda link: [group(member(group(member(link))))],
}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: ascii(bad)[:40])
def test_no_link_names_a_key(stage: Stage, place: str, bad: dict[str, Any]) -> None:
    """The job fails at once, with the field and the remedy; the name is neither quoted nor kept."""
    stage.trigger(**BODY, then=PLACES[place](told(**bad)))
    job = stage.job()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "invalid")
    ((field, name),) = bad.items()
    assert f"{field}: " in job.failure.message
    shown = json.dumps(job.outcome()) + job.failure.message
    assert len(shown) < 2000
    if len(str(name)) > 1 and name != "celery.backend_cleanup":
        assert str(name) not in json.loads(json.dumps(job.outcome())).get("stopped", [])
    assert stage.script.calls == []


@pytest.mark.parametrize("place", list(PLACES))
def test_only_the_queues_of_the_list(stage: Stage, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the link stands; what is on the list goes through."""
    settings = stage.run.settings.model_copy(update={"link_queues": ("billing",)})
    monkeypatch.setattr(stage.run, "settings", settings)
    stage.trigger("j-1", **BODY, then=PLACES[place](told()))
    stage.trigger("j-2", **BODY, then=PLACES[place](told(queue="another")))
    assert stage.job("j-1").state is JobState.ACCEPTED
    failure = stage.job("j-2").failure
    assert failure is not None
    assert "queue: this queue is not one of SETTLE_LINK_QUEUES" in failure.message
    with pytest.raises(InvalidJob, match=r"jobs\.0\.then\.0\.queue: this queue is not one of SETTLE_LINK_QUEUES"):
        validate(request_of("group"), (), {"jobs": [member(told(queue="another"))]}, allowed=("billing",))
    with pytest.raises(InvalidJob, match="SETTLE_LINK_QUEUES"):
        validate(request_of("myipr.certify"), (), {**BODY, "then": [told()]}, allowed=())


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A broker to spoil."""
    with EmbeddedRedis(tmp_path / "broker") as server:
        yield server


@pytest.fixture
def broker(own: EmbeddedRedis, stage: Stage) -> Iterator[Celery]:
    """An application on it."""
    app = Celery("links", broker=own.url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def client(own: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client of it."""
    with redis.Redis.from_url(own.url, decode_responses=True) as connection:
        yield connection


def _ended(stage: Stage, *then: dict[str, Any]) -> Job:
    """A job in its last stage, as the ledger holds it, whatever its links are."""
    stage.trigger("j-1", **BODY)
    return replace(stage.job("j-1"), state=JobState.EMITTING, then=then)


def _follow(stage: Stage, app: Any, job: Job) -> Followed:
    return follow(stage.run, Announcer(stage.app, "test"), app, job)


@pytest.mark.parametrize("bad", [bad for bad in BAD if "" not in bad.values()], ids=lambda bad: ascii(bad)[:40])
def test_what_an_older_version_recorded_is_not_sent(
    stage: Stage, broker: Celery, client: redis.Redis, bad: dict[str, Any]
) -> None:
    """Its job succeeds, and says what could not follow."""
    done = _follow(stage, broker, _ended(stage, told(**bad), told()))
    assert done.failure is not None
    assert done.failure.kind == "next_refused"
    assert next(iter(bad)) in done.failure.message
    assert (done.sent, len(done.left)) == ((), 2)
    assert client.keys("*") == []


def test_a_list_that_came_later_counts_at_the_end(
    stage: Stage, broker: Celery, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a caller's own process accepted without the list is refused by the worker."""
    job = _ended(stage, told())
    settings = stage.run.settings.model_copy(update={"link_queues": ("another",)})
    monkeypatch.setattr(stage.run, "settings", settings)
    done = _follow(stage, broker, job)
    assert done.failure is not None
    assert "SETTLE_LINK_QUEUES" in done.failure.message
    assert client.keys("*") == []


def test_a_task_gets_no_id_of_a_job(stage: Stage, broker: Celery, client: redis.Redis) -> None:
    """The other application would write its result over that of the job."""
    stage.trigger("victim", **BODY)
    done = _follow(stage, broker, _ended(stage, told(id="victim")))
    assert done.failure is not None
    assert "its id victim is that of a job" in done.failure.message
    assert client.keys("*") == []


def test_a_key_of_another_type_ends_the_chain(stage: Stage, broker: Celery, client: redis.Redis) -> None:
    """At once, with the words of Redis; what comes before it was sent."""
    client.set("billing", "a text")
    done = _follow(stage, broker, _ended(stage, told(queue="first"), told(), told(queue="last")))
    assert done.failure is not None
    assert "billing.paid could not follow: it is refused with: WRONGTYPE Operation against" in done.failure.message
    assert (done.sent, len(done.left)) == (("billing.paid",), 2)
    assert (client.llen("first"), client.get("billing"), client.exists("last")) == (1, "a text", 0)


def test_no_name_makes_an_outage_of_it(stage: Stage, broker: Celery, client: redis.Redis) -> None:
    """redis-py quotes the command, and so the queue."""
    client.set("OOM", "a text")
    done = _follow(stage, broker, _ended(stage, told(queue="OOM")))
    assert done.failure is not None
    assert "WRONGTYPE" in done.failure.message
    assert "LLEN" not in done.failure.message


def test_a_forbidden_queue_ends_the_chain(stage: Stage, own: EmbeddedRedis, client: redis.Redis) -> None:
    """As for the user of `settle acl` without `--queue`."""
    rules = ["on", ">a-password", "+@all", "&*", "~allowed*", "~_kombu*"]
    client.execute_command("ACL", "SETUSER", "worker", "reset", *rules)
    app = Celery("links", broker=f"redis://worker:a-password@127.0.0.1:{own.port}/0", set_as_current=False)
    try:
        done = _follow(stage, app, _ended(stage, told(queue="allowed"), told()))
    finally:
        app.close()
    assert done.failure is not None
    assert "refused with: " in done.failure.message
    assert "permissions" in done.failure.message
    assert "a-password" not in done.failure.message
    assert done.sent == ("billing.paid",)


def test_a_full_broker_is_waited_for(stage: Stage, broker: Celery, client: redis.Redis) -> None:
    """It is an outage: nothing ends, and it goes on when there is room."""
    job = _ended(stage, told())
    client.config_set("maxmemory", "1")
    with pytest.raises(OperationalError):
        _follow(stage, broker, job)
    client.config_set("maxmemory", "0")
    assert _follow(stage, broker, job).sent == ("billing.paid",)


class _Raising:
    """An application whose broker answers with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def send_task(self, name: str, **options: Any) -> None:
        raise self._error


@pytest.mark.parametrize("kind", [AccessRefused, PreconditionFailed])
def test_what_rabbitmq_refuses_ends_the_chain(stage: Stage, kind: type[Exception]) -> None:
    """In its own words, scrubbed."""
    words = "access to queue 'billing' refused for user 'ines@example.org'"
    done = _follow(stage, _Raising(kind(words)), _ended(stage, told()))
    assert done.failure is not None
    assert "refused with: access to queue 'billing' refused" in done.failure.message
    assert "ines@" not in done.failure.message


@pytest.mark.parametrize(
    "error",
    [
        NotFound("home node of durable queue is down"),
        OperationalError("lost"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("Command # 1 (LPUSH q x) of pipeline caused error: BUSY Redis is busy running a script."),
        ResponseError("Error running script (call to f_1): @user_script:1: -OOM command not allowed"),
    ],
    ids=repr,
)
def test_an_outage_of_any_broker_is_waited_for(stage: Stage, error: Exception) -> None:
    """By the ledger, not by this stage."""
    with pytest.raises(OperationalError):
        _follow(stage, _Raising(error), _ended(stage, told()))


def test_the_log_of_it_has_one_line(stage: Stage, broker: Celery, caplog: pytest.LogCaptureFixture) -> None:
    """An old record with a newline in a name forges none."""
    with caplog.at_level(logging.INFO):
        _follow(stage, broker, _ended(stage, told(task="a\nERROR forged")))
    (stopped,) = [record.fields["stopped"] for record in caplog.records if record.message == "chain_stopped"]  # type: ignore[attr-defined]
    assert stopped == [MALFORMED]
