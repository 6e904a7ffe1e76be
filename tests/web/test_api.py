"""The JSON API: submit, read, list, act. Every answer is held against the description by the client itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from config.embedded import EmbeddedRedis
from jobs.record import Failure
from jobs.states import JobState, Wish
from tests.waiting import until

from .conftest import CHANGES, PASSWORD, SECRET, Site, started

S = JobState
BODY = {"name": SECRET, "category_id": "10", "hash": "ab" * 32, "size": "12"}


def _submit(client: httpx.Client, job_id: str | None = "s-1", workflow: str = "myipr.certify", **kwargs: Any) -> Any:
    sent = {"workflow": workflow, "kwargs": kwargs or BODY, **({"id": job_id} if job_id else {})}
    return client.post("/api/jobs", json=sent, headers=CHANGES)


def _act(client: httpx.Client, job_id: str, act: str, **more: Any) -> httpx.Response:
    return client.post(f"/api/jobs/{quote(job_id, safe='')}/acts", json={"act": act, **more}, headers=CHANGES)


def _assert_error(answer: httpx.Response, status: int, kind: str) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    error: dict[str, str] = answer.json()["error"]
    assert error["kind"] == kind
    return error


def _ids(client: httpx.Client, **parameters: Any) -> list[str]:
    """All pages."""
    found, after = [], None
    while True:
        page = client.get("/api/jobs", params={**parameters, **({"after": after} if after else {})}).json()
        found += [job["job_id"] for job in page["jobs"]]
        if (after := page.get("next")) is None:
            return found


# Submitting


def test_a_job_is_submitted_once(site: Site, client: httpx.Client) -> None:
    """201, then 200 for the very same, then 409 for another body under the same id."""
    first = _submit(client, tags={"shop": "7"}, **BODY)
    assert first.status_code == 201
    assert (first.json()["state"], first.json()["tags"], first.json()["acts"]) == (
        "accepted",
        {"shop": "7"},
        ["pause", "cancel"],
    )
    assert client.get(first.headers["location"]).json() == first.json()
    assert _submit(client).status_code == 200
    error = _assert_error(_submit(client, **{**BODY, "size": "13"}), 409, "conflict")
    assert "s-1 belongs to another request" in error["message"]
    assert site.ledger.get("s-1").request is not None
    assert len(site.ledger.jobs("myipr")) == 1


def test_a_job_gets_an_id_if_it_brings_none(site: Site, client: httpx.Client) -> None:
    """It is told in the answer."""
    answer = _submit(client, None, workflow="settle.myipr.certify")
    assert answer.status_code == 201
    assert site.ledger.get(answer.json()["job_id"]).workflow == "myipr.certify"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kwargs": {**BODY, "size": "-1"}}, "size"),
        ({"kwargs": {**BODY, "nonsense": 1}}, "nonsense"),
        ({"kwargs": {**BODY, "deadline": -1}}, "deadline"),
        ({"kwargs": {**BODY, "tags": {"a": 1}}}, "tags.a"),
        ({"kwargs": [1]}, "kwargs"),
        ({"workflow": "myipr.nothing"}, "workflow"),
        ({"workflow": 5}, "workflow"),
        ({"id": "with space"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"more": 1}, "more"),
    ],
    ids=lambda value: json.dumps(value)[:30] if isinstance(value, dict) else str(value),
)
def test_a_bad_submission_names_the_field(
    site: Site, client: httpx.Client, changes: dict[str, Any], field: str
) -> None:
    """400, nothing is recorded, and no value of a body is repeated."""
    sent = {"workflow": "myipr.certify", "id": "s-1", "kwargs": BODY, **changes}
    answer = client.post("/api/jobs", json=sent, headers=CHANGES)
    assert _assert_error(answer, 400, "invalid")["field"] == field
    assert SECRET not in answer.text
    assert site.redis.keys("settle:{*}:job:*") == []


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"workflow": "myipr.certify", "kwargs": {"size": NaN}}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"workflow=a", "application/x-www-form-urlencoded", 415),
        (b" " * (8 * 1024 * 1024 + 1), "application/json", 413),
    ],
    ids=["empty", "open", "list", "bytes", "nan", "deep", "text", "form", "long"],
)
def test_what_is_no_json_is_refused(client: httpx.Client, content: bytes, media: str, status: int) -> None:
    """Before anybody looks for a job in it."""
    for path in ("/api/jobs", "/api/jobs/a/acts"):
        answer = client.post(path, content=content, headers={**CHANGES, "Content-Type": media})
        assert answer.status_code == status, answer.text


# Reading and listing


def test_a_job_is_read_whole_but_for_its_request(site: Site, client: httpx.Client) -> None:
    """As `settle status --json`, with what can be done, and what to do."""
    gallery = site.gallery()
    for job in gallery.values():
        answer = client.get(f"/api/jobs/{job.id}")
        seen = answer.json()
        if "error" in seen:
            seen["error"].setdefault("remedy", None)
        assert {name: seen.get(name) for name in job.outcome()} == job.outcome()
        assert SECRET not in answer.text
        assert "intent" not in answer.json()
    acts = {name: client.get(f"/api/jobs/{job.id}").json()["acts"] for name, job in gallery.items()}
    assert acts == {
        "polling": ["pause", "cancel"],
        "doubt": ["resolve", "pause", "cancel"],
        "failed": ["replay"],
        "expired": ["resume"],
        "done": [],
    }
    advice = {name: client.get(f"/api/jobs/{job.id}").json().get("advice") for name, job in gallery.items()}
    assert "resolve the job with its id" in advice["doubt"]
    assert "replay" in advice["failed"]
    assert advice["done"] is None
    _assert_error(client.get("/api/jobs/nobody"), 404, "not_found")
    _assert_error(client.get("/api/jobs/nobody/events"), 404, "not_found")


@pytest.mark.parametrize("job_id", ["a/b", "a?b=c", "%2F", "a%20b", "<script>", "&amp;", "x'\"", "{id}"])
def test_any_id_can_be_read_and_acted_on(site: Site, client: httpx.Client, job_id: str) -> None:
    """Ids are printable ASCII; what means something in an address is escaped there."""
    site.job(job_id)
    path = f"/api/jobs/{quote(job_id, safe='')}"
    assert client.get(path).json()["job_id"] == job_id
    assert [event["job_id"] for event in client.get(f"{path}/events").json()["events"]] == [job_id]
    assert _act(client, job_id, "pause").json()["wish"] == "pause"
    assert _ids(client, text=job_id) == [job_id]


def test_the_history_of_a_job(site: Site, client: httpx.Client) -> None:
    """Its events alone, oldest first."""
    site.job("other")
    job = site.job("a")
    site.ledger.write([job.stay(now=site.ledger.now(), due_at=job.due_at or 0, word="minting", progress=7)])
    site.job("later")
    events = client.get("/api/jobs/a/events").json()["events"]
    assert [(event["seq"], event.get("source"), event["target"]) for event in events] == [
        (1, None, "polling"),
        (2, "polling", "polling"),
    ]
    assert events[1]["data"]["progress"] == 7


def test_jobs_are_listed_by_all_that_tells_them_apart(site: Site, client: httpx.Client) -> None:
    """Provider, state, tag, part of the id, age; and page by page."""
    now = site.ledger.now()
    for number in range(12):
        state = S.FAILED if number % 3 == 0 else S.POLLING
        where = {"provider": "lettrlabs", "workflow": "lettrlabs.convert"} if number % 2 else {}
        tags = {"shop": str(number % 4), "a b": "c=d"}
        site.job(f"l-{number:02}", state, created_at=now - number * 3600, tags=tags, **where)
    everything = [f"l-{number:02}" for number in range(12)]
    assert _ids(client) == _ids(client, limit=5) == everything
    assert _ids(client, provider="lettrlabs") == everything[1::2]
    assert _ids(client, provider=["lettrlabs", "myipr"], state="failed") == everything[::3]
    assert _ids(client, state=["failed", "expired"], limit=1) == _ids(client, state="finished") == everything[::3]
    assert len(_ids(client, state="unfinished")) == 8
    assert _ids(client, tag="shop=1") == ["l-01", "l-05", "l-09"]
    assert _ids(client, tag=["shop=1", "a b=c=d"], since="6h") == ["l-01", "l-05"]
    assert _ids(client, text="-1") == ["l-10", "l-11"]
    assert _ids(client, until="570m") == ["l-10", "l-11"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3.5 * 3600))
    assert _ids(client, since=stamp) == everything[:4]
    assert _ids(client, tag="shop=9") == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"provider": "acme"}, "provider"),
        ({"state": "lost"}, "state"),
        ({"tag": "shop"}, "tag"),
        ({"since": "yesterday"}, "since"),
        ({"until": "5 h"}, "until"),
        ({"since": "9" * 30 + "d"}, "since"),
        ({"after": "nowhere"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"sort": "id"}, "sort"),
    ],
    ids=str,
)
def test_a_bad_question_names_the_field(client: httpx.Client, parameters: dict[str, str], field: str) -> None:
    """And a page of nothing is not taken for an answer."""
    assert _assert_error(client.get("/api/jobs", params=parameters), 400, "invalid")["field"] == field


# Acting


def test_a_job_is_paused_resumed_and_cancelled(site: Site, client: httpx.Client) -> None:
    """As the commands do; whoever waits for the job is told."""
    site.job("a")
    assert _act(client, "a", "pause").json()["wish"] == "pause"
    assert client.get("/api/jobs/a").json()["acts"] == ["resume", "cancel"]
    resumed = _act(client, "a", "resume", deadline=60).json()
    assert "wish" not in resumed
    assert 55 < resumed["deadline_at"] - site.ledger.now() < 61
    assert _act(client, "a", "cancel").json()["wish"] == "cancel"
    assert site.ledger.get("a").wish is Wish.CANCEL
    assert (site.ledger.get("a").due_at or 0) < site.ledger.now() + 1
    assert json.loads(str(site.redis.get("celery-task-meta-a")))["result"]["wish"] == "cancel"


@pytest.mark.parametrize(
    ("how", "state", "remote_id"),
    [
        ({"remote_id": "r-9"}, "polling", "r-9"),
        ({"resubmit": True}, "in_doubt", None),
        ({"fail": True}, "failed", None),
    ],
    ids=["found", "again", "given-up"],
)
def test_a_doubt_is_ended(
    site: Site, client: httpx.Client, how: dict[str, Any], state: str, remote_id: str | None
) -> None:
    """In one of three ways."""
    site.job("a", S.IN_DOUBT)
    job = _act(client, "a", "resolve", **how).json()
    assert (job["state"], job.get("remote_id")) == (state, remote_id)
    assert job.get("wish") == ("resubmit" if "resubmit" in how else None)


def test_finished_jobs_are_reopened(site: Site, client: httpx.Client) -> None:
    """A failed one with files is replayed, an expired one resumed."""
    site.gallery()
    assert _act(client, "g-failed", "replay").json()["state"] == "fetching"
    assert _act(client, "g-expired", "resume").json()["state"] == "polling"


@pytest.mark.parametrize(
    ("job_id", "act"),
    [("g-done", "cancel"), ("g-done", "pause"), ("g-done", "resume"), ("g-expired", "replay"), ("g-polling", "resume")],
)
def test_what_cannot_be_done_where_a_job_is(site: Site, client: httpx.Client, job_id: str, act: str) -> None:
    """409, and it stays as it is."""
    site.gallery()
    before = site.ledger.get(job_id)
    assert job_id in _assert_error(_act(client, job_id, act), 409, "not_here")["message"]
    _assert_error(_act(client, job_id, "resolve", fail=True), 409, "not_here")
    assert site.ledger.get(job_id) == before
    _assert_error(_act(client, "nobody", act), 404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"act": "delete"},
        {"act": "resolve"},
        {"act": "resolve", "fail": True, "resubmit": True},
        {"act": "resolve", "remote_id": ""},
        {"act": "resume", "deadline": 0},
        {"act": "pause", "seconds": 5},
    ],
    ids=str,
)
def test_a_bad_act_is_refused(site: Site, client: httpx.Client, body: Any) -> None:
    """400, and nothing happens."""
    job = site.job("a", S.IN_DOUBT)
    headers = {**CHANGES, "Content-Type": "application/json"}
    _assert_error(client.post("/api/jobs/a/acts", content=json.dumps(body), headers=headers), 400, "invalid")
    assert site.ledger.get("a") == job


def test_a_job_that_is_being_sent_is_waited_for(site: Site, client: httpx.Client) -> None:
    """For a moment; and others are served meanwhile. Here nobody ever answers."""
    site.job("a", S.SUBMITTING)
    answers: list[httpx.Response] = []

    def wait() -> None:
        with site.client() as patient:
            answers.append(_act(patient, "a", "cancel"))

    waiting = threading.Thread(target=wait)
    waiting.start()
    served = 0
    while waiting.is_alive():
        assert client.get("/api/providers").elapsed.total_seconds() < 1
        served += 1
    assert "is being sent at the moment" in _assert_error(answers[0], 409, "not_here")["message"]
    assert served > 10


def test_a_job_of_a_provider_that_is_not_installed(site: Site, client: httpx.Client) -> None:
    """Its package is gone: the job can be read, and cannot be reopened here."""
    site.job("a", S.EXPIRED, provider="acme", workflow="acme.make", receipt={"remote_id": "r-1"})
    assert client.get("/api/jobs/a").json()["acts"] == []
    assert client.get("/job", params={"id": "a"}).status_code == 200
    assert "acme is not installed" in _assert_error(_act(client, "a", "resume"), 409, "not_here")["message"]


def test_a_provider_is_paused_and_resumed(site: Site, client: httpx.Client) -> None:
    """Its gate closes and opens; nobody else's does."""

    def act(name: str, **body: Any) -> httpx.Response:
        return client.post(f"/api/providers/{name}/acts", json=body, headers=CHANGES)

    assert act("myipr", act="pause").json()["gate"] == "closed"
    assert 55 < act("lettrlabs", act="pause", seconds=60).json()["paused_until"] - site.ledger.now() < 61
    gates = {each["provider"]: each["gate"] for each in client.get("/api/providers").json()["providers"]}
    assert gates == {
        "commonsdb": "open",
        "group": "open",
        "lettrlabs": "closed",
        "myipr": "closed",
        "unique_tokens": "open",
    }
    assert act("myipr", act="resume").json()["gate"] == "open"
    assert site.ledger.paused_until("myipr") == 0
    _assert_error(act("acme", act="pause"), 404, "not_found")
    _assert_error(act("myipr", act="pause", seconds=-1), 400, "invalid")
    _assert_error(act("myipr", act="cancel"), 400, "invalid")


def test_where_all_jobs_stand(site: Site, client: httpx.Client) -> None:
    """Counts, ages, lateness and gates of every provider."""
    now = site.ledger.now()
    site.job("old", created_at=now - 100, due_at=now - 40)
    site.job("new", created_at=now - 10)
    site.job("over", S.FAILED, failure=Failure("refused", "no"))
    found = {each["provider"]: each for each in client.get("/api/providers").json()["providers"]}["myipr"]
    assert (found["counts"], found["unfinished"]) == ({"polling": 2, "failed": 1}, 2)
    assert found["oldest"] == pytest.approx(now - 100, abs=0.01)
    assert found["latest"] == pytest.approx(now, abs=1)
    assert 40 <= found["lateness"] < 45


# Trouble


def test_unknown_addresses_and_methods(client: httpx.Client) -> None:
    """As JSON, too."""
    _assert_error(client.get("/api/jobs/a/b/c"), 404, "not_found")
    _assert_error(client.delete("/api/jobs/a", headers=CHANGES), 405, "bad_method")
    _assert_error(client.get("/api/jobs/a/acts"), 405, "bad_method")


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Site]:
    """Flower whose Redis goes away."""
    with ExitStack() as exits:
        server = EmbeddedRedis(tmp_path)
        with server:
            site = started(server, exits)
            site.job("a")
        yield site


@pytest.mark.timeout(120)
def test_redis_is_away(lonely: Site) -> None:
    """503 with a sentence, on the page, too; and nothing secret in the log."""
    with lonely.client() as client:
        error = _assert_error(client.get("/api/jobs/a"), 503, "unavailable")
        assert "SETTLE_REDIS_URL" in error["message"]
        page = client.get("/jobs")
        assert page.status_code == 503
        assert "Redis does not answer" in page.text
    until(lambda: any("feed_lost_redis" in line for line in lonely.log), "the feed says so")
    assert not any(PASSWORD in line or SECRET in line for line in lonely.log)
