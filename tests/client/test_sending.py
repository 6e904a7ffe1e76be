"""What the client sends, over a real Redis-protocol server: read by Settle's own reader, and by nobody else."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from config.acl import rules
from config.embedded import EmbeddedRedis, free_port
from settle_client import InvalidJob, NotSent, Settle, WrongApplication, key_of, ref
from tasks.receive import Trigger, decode

BODY = {"conversions": [{"primaryEmail": "very.private@person.example", "revenue": 12.5}]}
PRIVATE = "very.private@person.example"


@pytest.fixture
def client(redis_client: redis.Redis, redis_server: EmbeddedRedis) -> Iterator[Settle]:
    with Settle(redis_server.url) as found:
        yield found


def _queued(connection: redis.Redis) -> list[dict[str, Any]]:
    texts: Any = connection.lrange("celery", 0, -1)
    return [json.loads(text) for text in texts]


def _triggers(connection: redis.Redis) -> list[Trigger]:
    texts: Any = connection.lrange("celery", 0, -1)
    return [decode(text) for text in texts]


def test_a_message_is_what_settle_reads(client: Settle, redis_client: redis.Redis) -> None:
    """Task, id and arguments arrive; what was left out or None is not there."""
    job = client.lettrlabs.convert(
        conversions=[{"primaryEmail": PRIVATE, "revenue": 12.5}],
        job_id="upload-1", tags={"shop": "7"}, deadline=60.0,
        then=[{"task": "billing.paid", "queue": "billing", "kwargs": {"id": ref("result.id", of=0)}}],
    )  # fmt: skip
    client.myipr.certify(name=None, hash="ab" * 32, job_id="cert-1")
    client.send("acme.order", {"motif": "harbour"}, job_id="acme-1")
    acme, cert, upload = _triggers(redis_client)
    then = [{"task": "billing.paid", "queue": "billing", "kwargs": {"id": {"$from": "result.id", "$of": 0}}}]
    options = {"tags": {"shop": "7"}, "deadline": 60.0, "then": then}
    assert (job.id, upload.job_id, upload.task) == ("upload-1", "upload-1", "settle.lettrlabs.convert")
    assert (upload.args, upload.kwargs) == ((), BODY | options)
    assert (cert.task, cert.kwargs) == ("settle.myipr.certify", {"hash": "ab" * 32})
    assert (acme.task, acme.job_id, acme.kwargs) == ("settle.acme.order", "acme-1", {"motif": "harbour"})


def test_an_id_is_made_for_who_gives_none(client: Settle, redis_client: redis.Redis) -> None:
    """Each its own."""
    ids = {client.lettrlabs.delete(id=1).id for _ in range(3)}
    assert ids == {trigger.job_id for trigger in _triggers(redis_client)}
    assert len(ids) == 3


def test_sending_subscribes_to_nothing(client: Settle, redis_client: redis.Redis) -> None:
    """Celery's own way does so each time; and a worker still tells of an entry task that broke."""
    redis_client.config_resetstat()
    client.lettrlabs.delete(id=1)
    seen: Any = redis_client.info("commandstats")
    assert "cmdstat_lpush" in seen
    assert "cmdstat_subscribe" not in seen
    (message,) = _queued(redis_client)
    assert message["headers"]["ignore_result"] is False


def test_nothing_can_be_read_in_headers_logs_or_errors(
    client: Settle, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The arguments are in the body of the message, and nowhere else."""
    with caplog.at_level(logging.DEBUG):
        client.send("lettrlabs.convert", BODY)
        with pytest.raises(InvalidJob) as bad:
            client.send("lettrlabs.convert", {**BODY, "day": date(2026, 3, 4)})
    (message,) = _queued(redis_client)
    assert PRIVATE not in json.dumps(message)  # the body is base64
    assert message["headers"]["argsrepr"] == "()"
    assert message["headers"]["kwargsrepr"] == "<redacted>"
    assert PRIVATE not in caplog.text
    assert PRIVATE not in "".join(traceback.format_exception(bad.value))
    assert "day: cannot be written as JSON" in str(bad.value)


def test_an_application_of_the_callers_own(
    redis_client: redis.Redis, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own default queue, routes, priority and serializer do not lead a trigger astray."""
    app = Celery("shop", broker=redis_server.url, backend=redis_server.url, set_as_current=False)
    app.conf.update(
        task_default_queue="shop",
        task_routes={"*": {"queue": "elsewhere", "priority": 5}},
        task_serializer="pickle",
        task_ignore_result=True,
    )
    closed: list[bool] = []
    monkeypatch.setattr(app, "close", lambda: closed.append(True))
    with Settle(app) as client:
        client.lettrlabs.delete(id=17, job_id="delete-17")
    assert not closed  # it is the caller's
    assert [(trigger.job_id, trigger.kwargs) for trigger in _triggers(redis_client)] == [("delete-17", {"id": 17})]
    monkeypatch.undo()
    app.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("task_protocol", 1),
        ("task_compression", "gzip"),
        ("broker_transport_options", {"global_keyprefix": "shop:"}),
        ("result_backend_transport_options", {"global_keyprefix": "shop:"}),
    ],
)
def test_an_application_that_settle_could_not_read_is_refused(setting: str, value: object) -> None:
    """Its messages would lie there for ever, or its jobs never end."""
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf[setting] = value
    with pytest.raises(WrongApplication, match=f"^{setting}"):
        Settle(app)


def test_an_application_stands_alone() -> None:
    """Two sources for one setting would hide which counts."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    with pytest.raises(WrongApplication, match=r"^app: "):
        Settle(app, "redis://127.0.0.1:1")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", object()], ids=["nan", "set", "bytes", "object"])
def test_what_is_not_json_is_named(client: Settle, redis_client: redis.Redis, value: object) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidJob, match=r"^size: cannot be written as JSON"):
        client.send("myipr.certify", {"hash": "ab", "size": value})
    with pytest.raises(TypeError, match=r"^tag: "):
        client.lettrlabs.delete(id=1, tag={})  # type: ignore[call-arg]
    assert not _queued(redis_client)


def test_the_application_goes_on_after_a_restart_of_redis(tmp_path: Path) -> None:
    """A lost connection costs the caller nothing, and each trigger is there."""
    with EmbeddedRedis(tmp_path) as server, Settle(server.url) as client:
        client.lettrlabs.delete(id=1, job_id="before")
        for number in range(3):
            server.kill()
            server.start()
            client.lettrlabs.delete(id=1, job_id=f"after-{number}")
        with redis.Redis.from_url(server.url, decode_responses=True) as connection:
            assert {"after-2"} <= {trigger.job_id for trigger in _triggers(connection)}


def test_a_trigger_waits_for_a_broker_that_is_away(tmp_path: Path) -> None:
    """Within its patience; the message is sent when the broker answers."""
    with EmbeddedRedis(tmp_path) as server, Settle(server.url, patience=30) as client:
        client.lettrlabs.delete(id=1, job_id="before")
        server.kill()
        timer = threading.Timer(1.0, server.start)
        timer.start()
        client.lettrlabs.delete(id=1, job_id="meanwhile")
        timer.join()
        with redis.Redis.from_url(server.url, decode_responses=True) as connection:
            assert "meanwhile" in {trigger.job_id for trigger in _triggers(connection)}


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_stays_away_is_an_error_in_time(scheme: str) -> None:
    """It has the id, so that the caller can trigger the very same job again; and none of the arguments."""
    url, begun = f"{scheme}://127.0.0.1:{free_port()}", time.monotonic()
    with (
        Settle(url, master_name="ledger", patience=1.0) as client,
        pytest.raises(NotSent, match="trigger it again") as away,
    ):
        client.send("lettrlabs.convert", BODY)
    assert time.monotonic() - begun < 10
    assert len(away.value.job_id) == 36
    assert isinstance(away.value, ConnectionError)
    assert PRIVATE not in "".join(traceback.format_exception(away.value))


def test_threads_share_a_client(client: Settle, redis_client: redis.Redis) -> None:
    """Each trigger once."""
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda n: client.lettrlabs.delete(id=n, job_id=f"job-{n}").id, range(100)))
    assert sorted(sent) == sorted(trigger.job_id for trigger in _triggers(redis_client))
    tags = [message["properties"]["delivery_tag"] for message in _queued(redis_client)]
    assert len(set(tags)) == 100


def test_it_needs_no_more_rights_than_a_caller_has(redis_client: redis.Redis, redis_server: EmbeddedRedis) -> None:
    """A user with the rules of `settle acl` for callers sends and looks."""
    redis_client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">a-password", *rules("caller"))
    url = f"redis://shop:a-password@127.0.0.1:{redis_server.port}/0"
    try:
        with Settle(url) as client:
            job = client.lettrlabs.delete(id=1, job_id="few-rights")
            assert job.look() is None
        assert [trigger.job_id for trigger in _triggers(redis_client)] == ["few-rights"]
    finally:
        redis_client.execute_command("ACL", "DELUSER", "shop")


def test_keys_are_made_of_their_parts() -> None:
    """The same for the same, another for anything else, and usable as ids."""
    first = key_of("invoice", 4711, {"a": 1, "b": 2}, prefix="cert-")
    assert first == key_of("invoice", 4711, {"b": 2, "a": 1}, prefix="cert-")
    assert len({first, key_of("invoice", "4711"), key_of("invoice", 4711), key_of("invoice4711")}) == 4
    assert len(first) == len("cert-") + 32
    for bad in ((), ({1, 2},)):
        with pytest.raises(InvalidJob, match=r"^key_of: "):
            key_of(*bad)
