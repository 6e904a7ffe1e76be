"""Names of queues over HTTP: none is a key of Settle, whichever address takes it; a damaged key costs its provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from config.embedded import EmbeddedRedis
from jobs.states import JobState
from tests.waiting import PATIENCE, until

from .conftest import CHANGES, PASSWORD, USER, Site, started

BODY = {"name": "a", "category_id": "10", "hash": "ab" * 32, "size": "12"}
KEY = "settle:{commonsdb}:due"
NAMES = [KEY, "celery-task-meta-a", "settle:owner:a", "celery\x06\x169", "a b", "ѕettle.poll", "x" * 10_000, 7, ["a"]]


@pytest.fixture
def plain(site: Site) -> Iterator[httpx.Client]:
    """A client for Flower's own addresses, which our description leaves out."""
    with httpx.Client(base_url=site.url, auth=(USER, PASSWORD), timeout=PATIENCE) as found:
        yield found


def keys(site: Site) -> set[str]:
    """Every key but the bindings that Flower itself makes whenever it asks workers."""
    return {key for key in site.redis.keys("*") if not key.startswith("_kombu.binding")}


@pytest.mark.parametrize("path", ["apply", "async-apply", "send-task"])
@pytest.mark.parametrize("field", ["queue", "exchange", "routing_key", "reply_to"])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_flowers_own_way_pushes_to_no_key_of_ours(
    plain: httpx.Client, site: Site, path: str, field: str, name: Any
) -> None:
    """Whichever of its options leads there."""
    before = keys(site)
    answer = plain.post(f"/api/task/{path}/settle.myipr.certify", json={"kwargs": BODY, field: name}, headers=CHANGES)
    assert (answer.status_code, f"{field}: " in answer.text) == (400, True)
    assert keys(site) <= before


def test_flowers_own_way_goes_on(plain: httpx.Client, site: Site) -> None:
    """To the queue of triggers, and to another application."""
    for number, more in enumerate(({}, {"queue": "celery"}, {"queue": "billing"})):
        sent = {"kwargs": BODY, "task_id": f"f-{number}", **more}
        answer = plain.post("/api/task/send-task/settle.myipr.certify", json=sent, headers=CHANGES)
        assert answer.status_code == 200, answer.text
    assert (site.redis.llen("celery"), site.redis.llen("billing")) == (2, 1)
    site.redis.delete("celery", "billing")


def test_no_worker_is_sent_to_consume_a_key(plain: httpx.Client) -> None:
    """Flower would have it pop from there."""
    path = "/api/worker/queue/add-consumer/celery@nobody"
    answer = plain.post(path, params={"queue": KEY}, headers=CHANGES)
    assert (answer.status_code, "queue: " in answer.text) == (400, True)
    assert plain.post(path, params={"queue": "billing"}, headers=CHANGES).status_code == 404


def test_the_json_api_names_the_field(client: httpx.Client, site: Site) -> None:
    """In `then` of a member, too; nothing is recorded."""
    link = {"task": "billing.paid", "queue": KEY}
    member = {"workflow": "myipr.certify", "kwargs": BODY, "then": [link]}
    for workflow, kwargs in (("myipr.certify", {**BODY, "then": [link]}), ("group", {"jobs": [member]})):
        sent = {"workflow": workflow, "kwargs": kwargs, "id": "n-1"}
        answer = client.post("/api/jobs", json=sent, headers=CHANGES)
        assert answer.status_code == 400
        assert "queue: use 1 to 200 ASCII letters" in answer.json()["error"]["message"]
    assert not site.redis.exists(KEY, "settle:owner:n-1")


def test_a_list_of_queues_holds_for_the_json_api(tmp_path: Path) -> None:
    """Refused before anything is recorded, with the setting's name."""
    with ExitStack() as exits:
        server = exits.enter_context(EmbeddedRedis(tmp_path))
        site = started(server, exits, SETTLE_LINK_QUEUES='["billing"]')
        client = exits.enter_context(site.client())
        for queue, status in (("another", 400), ("billing", 201)):
            link = {"task": "billing.paid", "queue": queue}
            sent = {"workflow": "myipr.certify", "kwargs": {**BODY, "then": [link]}, "id": f"q-{queue}"}
            answer = client.post("/api/jobs", json=sent, headers=CHANGES)
            assert answer.status_code == status, answer.text
            assert ("then.0.queue: this queue is not one of SETTLE_LINK_QUEUES" in answer.text) == (status == 400)


def test_a_damaged_provider_leaves_the_pages_to_the_others(tmp_path: Path) -> None:
    """Its stream and its index are lists: the others are listed, counted, and followed."""
    with ExitStack() as exits:
        server = exits.enter_context(EmbeddedRedis(tmp_path))
        with redis.Redis.from_url(server.url) as client:
            for part in ("events", "index", "due", "counts"):
                client.lpush(f"settle:{{commonsdb}}:{part}", "a message")
        site = started(server, exits)
        http = exits.enter_context(site.client())
        with http.stream("GET", "/api/events", params={"provider": "myipr"}) as events:
            site.job("a", JobState.POLLING)
            until(lambda: http.get("/api/jobs").json()["jobs"], "the job in the list")
            assert any('"job_id":"a"' in line.replace(" ", "") for line in events.iter_lines())
        (mine,) = [own for own in http.get("/api/providers").json()["providers"] if own["provider"] == "myipr"]
        assert mine["counts"] == {"polling": 1}
        sent = {"workflow": "commonsdb.declare", "kwargs": {"declaration": {}}, "id": "c"}
        assert http.post("/api/jobs", json=sent, headers=CHANGES).status_code in (400, 503)
