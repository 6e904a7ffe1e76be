"""The main job: triggered from another process, followed to `.get()`, in each pool."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from simulator import samples
from tests.waiting import until

from .conftest import PYTHON, House

pytestmark = [pytest.mark.acceptance, pytest.mark.every_broker]

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
CLIENT = Path(__file__).with_name("client.py")


def _run_client(house: House, jobs: dict[str, list[Any]], cwd: Path) -> dict[str, Any]:
    done = subprocess.run(
        [PYTHON, "-I", str(CLIENT), house.servers.broker, house.servers.url, json.dumps(house.servers.options)],
        input=json.dumps(jobs), capture_output=True, text=True, timeout=60, cwd=cwd, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _certify(name: str, **changes: Any) -> dict[str, Any]:
    body = samples.certificate_request(name)
    return {**{key: body[key] for key in ("name", "category_id", "hash", "size")}, **changes}


def _produce(name: str, **more: Any) -> dict[str, Any]:
    paid = samples.payment(name)
    payment = {"id": paid["id"], "ident": paid["ident"]}
    return {"alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "payment": payment, **more}


@pytest.mark.timeout(120)
def test_all_workflows_from_another_application(pooled: House, pool: str, tmp_path: Path) -> None:
    """Every workflow, success and failure, from a process that has none of our code to its `.get()`."""
    sim = pooled.sim
    for provider, reference in (
        ("myipr", f"{pool} good"), ("unique_tokens", samples.payment(f"{pool}-t")["ident"]), ("lettrlabs", f"{pool}-1"),
    ):  # fmt: skip
        sim.plan(provider, reference, outcome="success", duration=60)  # type: ignore[arg-type]
    sim.plan("myipr", f"{pool} bad", outcome="failed", duration=30)
    sim.plan("unique_tokens", samples.payment(f"{pool}-w")["ident"], wrong_digest=True, duration=30)
    work = samples.declaration(sim.base_urls["commonsdb"], name=f"{pool} work")
    sim.plan("commonsdb", f"{pool} work", outcome="success", duration=60)
    ends = _run_client(
        pooled,
        {
            f"{pool}-declare": ["settle.commonsdb.declare", {"declaration": work, "tags": {"shop": "7"}}],
            f"{pool}-certify": ["settle.myipr.certify", _certify(f"{pool} good")],
            f"{pool}-mint-error": ["settle.myipr.certify", _certify(f"{pool} bad")],
            f"{pool}-produce": ["settle.unique_tokens.produce", _produce(f"{pool}-t", seed=SEED)],
            f"{pool}-wrong": ["settle.unique_tokens.produce", _produce(f"{pool}-w", seed=SEED)],
            f"{pool}-convert": ["settle.lettrlabs.convert", {"conversions": [samples.conversion(f"{pool}-1")]}],
            f"{pool}-invalid": ["settle.myipr.certify", _certify(f"{pool} never", hash="no hash")],
        },
        tmp_path,
    )
    for name in ("declare", "certify", "produce", "convert"):
        assert ends[f"{pool}-{name}"].get("got", {}).get("state") == "succeeded", ends[f"{pool}-{name}"]
    assert ends[f"{pool}-mint-error"]["raised"] == "JobFailed"
    assert ends[f"{pool}-wrong"]["raised"] == "JobFailed"
    assert "SHA-256" in ends[f"{pool}-wrong"]["text"]
    assert "hash:" in ends[f"{pool}-invalid"]["text"]
    assert ends[f"{pool}-declare"]["got"]["tags"] == {"shop": "7"}

    tokens = ends[f"{pool}-produce"]["got"]["artifacts"][0]
    assert tokens["verification"] == "verified"
    stored = Path(urlsplit(tokens["uri"]).path).read_bytes()
    assert len(stored) == tokens["size"] == 2000 * 12 + 1999
    certificate = ends[f"{pool}-certify"]["got"]["artifacts"][0]
    assert Path(urlsplit(certificate["uri"]).path).read_bytes().startswith(b"%PDF")

    books = sim.account()
    assert books["myipr"].jobs[f"{pool} good"].submits == 1
    assert books["myipr"].jobs[f"{pool} bad"].submits == 1
    assert f"{pool} never" not in books["myipr"].jobs
    assert books["lettrlabs"].jobs[f"{pool}-1"].submits == 1
    assert books["unique_tokens"].jobs[samples.payment(f"{pool}-t")["ident"]].submits == 1
    assert all(not provider.doubles for provider in books.providers.values())

    states = ends[f"{pool}-certify"]["states"]
    assert "POLLING" in states
    assert states[-1] == "SUCCESS"


def test_state_and_progress_can_be_followed(pooled: House, pool: str) -> None:
    """`.state` is the stage and `.info` the progress while the job runs."""
    job_id = f"{pool}-progress"
    pooled.sim.plan("unique_tokens", samples.payment(job_id)["ident"], outcome="success", duration=90)
    result = pooled.send("unique_tokens.produce", _produce(job_id, seed=SEED), job_id)
    seen = until(
        lambda: result.state == "POLLING" and result.info.get("progress") and dict(result.info),
        "progress while polling",
    )
    assert 0 < seen["progress"] < 100
    assert seen["status_word"] == "started"
    assert result.get(timeout=40)["state"] == "succeeded"


def test_the_same_id_is_one_job_and_another_body_is_refused(pooled: House, pool: str) -> None:
    """Sent three times, one of them with another body: one submission, one outcome, untouched by the others."""
    job_id = f"{pool}-once"
    pooled.sim.plan("lettrlabs", job_id, outcome="success", duration=30)
    body = {"conversions": [samples.conversion(job_id)]}
    first = pooled.send("lettrlabs.convert", body, job_id)
    pooled.send("lettrlabs.convert", body, job_id)
    pooled.send("lettrlabs.convert", {"conversions": [samples.conversion(f"{job_id}-other")]}, job_id)
    assert first.get(timeout=40)["state"] == "succeeded"
    pooled.send("lettrlabs.convert", body, job_id)
    refused = until(
        lambda: [line for line in pooled.log if "trigger_refused" in line and job_id in line], "the refusal"
    )
    assert "another request" in refused[0]
    books = pooled.sim.account()["lettrlabs"]
    assert books.jobs[job_id].submits == 1
    assert f"{job_id}-other" not in books.jobs
    assert first.state == "SUCCESS"


@contextmanager
def _captured(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """All task events, as Flower would see them; like Flower, it connects again when its connection is lost."""
    events: list[dict[str, Any]] = []
    over = threading.Event()

    def capture() -> None:
        while not over.is_set():
            with suppress(OSError, OperationalError, RedisError), app.connection_for_read() as connection:
                receiver = app.events.Receiver(connection, handlers={"*": events.append})
                for _ in receiver.itercapture(limit=None, timeout=None, wakeup=True):
                    if over.is_set():
                        return

    thread = threading.Thread(target=capture, daemon=True)
    thread.start()
    try:
        yield events
    finally:
        over.set()  # the next heartbeat of a worker wakes it
        thread.join(10)


def _active(app: Celery) -> dict[str, Any] | None:
    with suppress(OperationalError, RedisError):  # its connection may be one to a former primary
        return app.control.inspect(timeout=2).active()
    return None


def test_nothing_personal_or_secret_can_be_read(pooled: House, pool: str) -> None:
    """Task events, `inspect`, the log and what lies in Redis afterwards hold neither the records nor a key."""
    job_id = f"{pool}-private"
    record = samples.conversion(job_id, lastName="Unmistakable", primaryEmail="very.private@person.example")
    pooled.sim.plan("lettrlabs", job_id, outcome="success", duration=60)
    app = pooled.client
    shown: list[str] = []
    with _captured(app) as events:
        until(lambda: events, "a first event")
        result = pooled.send("lettrlabs.convert", {"conversions": [record]}, job_id)
        until(lambda: "task-succeeded" in {e["type"] for e in events if e.get("uuid") == job_id}, "the last event")
    assert result.get(timeout=20)["state"] == "succeeded"
    shown.append(repr(events))
    shown.append(repr(until(lambda: _active(app), "what a worker tells of itself")))
    shown.append("\n".join(pooled.log))
    for key in pooled.redis.scan_iter("*"):
        kind = pooled.redis.type(key)
        read = {"hash": pooled.redis.hgetall, "string": pooled.redis.get, "stream": pooled.redis.xrange}.get(str(kind))
        if read is not None and not str(key).startswith("unacked"):
            shown.append(repr(read(key)))  # type: ignore[operator]
    secrets = [*pooled.sim.keys.values(), "Unmistakable", "very.private@person.example", record["primaryPhoneNumber"]]
    for secret in secrets:
        assert not any(secret in text for text in shown), secret
    kinds = {event["type"] for event in events if event.get("uuid") == job_id}
    # Events are told to whoever listens at that moment; a fail-over falls into the middle of this job.
    told = {"task-succeeded"} if pooled.servers.fails_over else {"task-received", "task-started", "task-polling"}
    assert told <= kinds
