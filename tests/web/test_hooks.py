"""The door for notifications: a signature instead of a login, the same answer for every job, and little for a flood."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from config.embedded import EmbeddedRedis
from jobs.record import Job
from jobs.states import JobState, Wish
from tests.notices import OTHER_SECRET, SECRET, installed, signed
from tests.waiting import until

from .conftest import CHANGES, Site, started


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Flower with these providers installed."""
    with ExitStack() as exits:
        server = exits.enter_context(EmbeddedRedis(tmp_path_factory.mktemp("redis")))
        settings = {
            **installed(tmp_path_factory.mktemp("packages")),
            "SETTLE_OUR_NAMES__WEBHOOK_SECRET": SECRET,
            "SETTLE_OUR_NAMES__POLL_MINIMUM": "20",
            "SETTLE_ITS_NAMES__WEBHOOK_SECRET": OTHER_SECRET,
        }
        yield started(server, exits, **settings)


@pytest.fixture
def door(telling: Site) -> Iterator[httpx.Client]:
    """A client without a login; the ledger is empty."""
    for key in telling.redis.scan_iter("settle:*"):
        if not key.endswith(":events"):
            telling.redis.delete(key)
    with httpx.Client(base_url=telling.url, timeout=20) as client:
        yield client


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    """What is to be undone after a test."""
    with ExitStack() as stack:
        yield stack


def _job(site: Site, job_id: str, provider: str = "our_names", **changes: object) -> Job:
    return site.job(job_id, **{"provider": provider, "workflow": f"{provider}.do", **changes})  # type: ignore[arg-type]


def _tell(door: httpx.Client, body: object, provider: str = "our_names", secret: str = SECRET) -> httpx.Response:
    content, headers = signed(body, secret)
    return door.post(f"/hooks/{provider}", content=content, headers=headers)


def _due_in(site: Site, job_id: str) -> float:
    due = site.ledger.get(job_id).due_at
    assert due is not None
    return due - site.ledger.now()


def test_a_notification_brings_the_next_look_forward(telling: Site, door: httpx.Client) -> None:
    """Of its job and no other; the record is the same but for its wake-up time."""
    before = _job(telling, "j-1")
    _job(telling, "j-2")
    assert _tell(door, {"job": "j-1"}).status_code == 202
    after = telling.ledger.get("j-1")
    assert (after.state, after.seq, after.updated_at) == (before.state, before.seq, before.updated_at)
    assert _due_in(telling, "j-1") < 1
    assert _due_in(telling, "j-2") > 3000


def test_by_the_providers_own_name(telling: Site, door: httpx.Client) -> None:
    """The ledger knows which job has it; a name that nobody has is answered alike."""
    _job(telling, "j-1", "its_names")
    telling.ledger.keep_handles("its_names", {"r-1": "j-1"}, telling.ledger.now() + 60)
    assert _tell(door, {"data": {"id": "j-1"}}, "its_names", OTHER_SECRET).status_code == 202
    assert _due_in(telling, "j-1") > 3000
    assert _tell(door, {"data": {"id": "r-1"}}, "its_names", OTHER_SECRET).status_code == 202
    assert _due_in(telling, "j-1") < 1


def test_the_answer_tells_nothing_of_jobs(telling: Site, door: httpx.Client) -> None:
    """One that is polled, paused, finished, another provider's, or was never there: not a byte differs."""
    _job(telling, "polled")
    _job(telling, "paused", wish=Wish.PAUSE)
    _job(telling, "done", state=JobState.SUCCEEDED)
    _job(telling, "other", "its_names")
    answers = [_tell(door, {"job": name}) for name in ("polled", "polled", "paused", "done", "other", "nobody", "ü")]
    assert [(each.status_code, each.content) for each in answers] == [(202, b"")] * 7
    headers = [{name: text for name, text in each.headers.items() if name != "date"} for each in answers]
    assert headers == [headers[0]] * 7
    assert not {"set-cookie", "server"} & set(headers[0])
    assert (_due_in(telling, "paused") > 3000, _due_in(telling, "other") > 3000) == (True, True)


def _scripts(site: Site) -> int:
    """How many scripts Redis has run."""
    return int(site.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_a_forged_one_changes_nothing(telling: Site, door: httpx.Client) -> None:
    """No signature, another provider's, another body's, or an old one: 401, and Redis is not even asked."""
    _job(telling, "j-1")
    content, headers = signed({"job": "j-1"})
    old, stale = signed({"job": "j-1"}, at=time.time() - 400)
    before = _scripts(telling)
    for _ in range(10):
        refused = [
            door.post("/hooks/our_names", content=content),
            door.post("/hooks/our_names", content=content + b" ", headers=headers),
            door.post("/hooks/our_names", content=old, headers=stale),
            _tell(door, {"job": "j-1"}, secret=OTHER_SECRET),
        ]
        assert [(each.status_code, each.content) for each in refused] == [(401, b"")] * 4
    assert _scripts(telling) < before + 40  # none for a forged one: the page itself asks now and then
    assert _due_in(telling, "j-1") > 3000
    before = _scripts(telling)
    assert {_tell(door, {"job": "j-1"}).status_code for _ in range(20)} == {202}
    assert _scripts(telling) >= before + 20


def test_a_repeated_one_makes_no_second_look(telling: Site, door: httpx.Client) -> None:
    """One extra look within `poll_minimum` (20 s here) comes of any number; the last one is not forgotten."""
    _job(telling, "j-1")
    content, headers = signed({"job": "j-1"})
    assert {door.post("/hooks/our_names", content=content, headers=headers).status_code for _ in range(20)} == {202}
    (job,) = telling.ledger.begin("our_names", [("j-1", None)], [JobState.POLLING], 30.0)
    now = telling.ledger.now()
    telling.ledger.write([job.stay(now=now, due_at=now + 3600, polls=1)])
    assert door.post("/hooks/our_names", content=content, headers=headers).status_code == 202
    assert 15 < _due_in(telling, "j-1") <= 20


def test_what_is_not_there(door: httpx.Client) -> None:
    """A provider without a notification, one whose secret is not set, and one that nobody knows are the same."""
    for name in ("myipr", "unset", "nobody"):
        answer = _tell(door, {"job": "j-1"}, name)
        assert (answer.status_code, answer.content) == (404, b"")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert door.request(method, "/hooks/our_names").status_code == 405
    assert door.post("/hooks/our_names/more").status_code == 404


def test_no_login_and_no_token_is_asked_for(telling: Site, door: httpx.Client) -> None:
    """Neither helps: who is logged in needs the signature, too; and the door opens nothing else."""
    _job(telling, "j-1")
    with telling.client(headers=CHANGES) as person:
        assert person.post("/hooks/our_names", json={"job": "j-1"}).status_code == 401
    content, headers = signed({"job": "j-1"})
    elsewhere = {**headers, "Origin": "https://acme.example", "Sec-Fetch-Site": "cross-site"}
    assert door.post("/hooks/our_names", content=content, headers=elsewhere).status_code == 202
    assert door.post("/api/jobs", content=content, headers={**headers, **CHANGES}).status_code == 401


def test_one_that_names_no_job(telling: Site, door: httpx.Client) -> None:
    """A genuine one that cannot be read is refused, so that a wrong path is noticed; the log says which."""
    assert _tell(door, {"another": "shape"}).status_code == 400
    refused = lambda: [line for line in telling.log if "notification_refused" in line]  # noqa: E731
    until(lambda: any("job: names no job" in line for line in refused()), "the line in the log")
    assert not any("another" in line for line in telling.log)


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_long_body_is_cut_off(telling: Site, door: httpx.Client, how: str) -> None:
    """64 KiB, however it comes; the connection ends, and the next one is served."""
    head = "Content-Length: 9000000" if how == "length" else "Transfer-Encoding: chunked"
    place = urlsplit(telling.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(f"POST /hooks/our_names HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        piece = b"x" * 10_000
        sent = 0
        try:
            while sent < 9_000_000:
                connection.sendall(piece if how == "length" else b"2710\r\n" + piece + b"\r\n")
                sent += len(piece)
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""
    assert sent < 9_000_000
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert _tell(door, {"job": "x" * 400, "rest": "x" * 60_000}).status_code == 202


def test_a_flood_of_forgeries_does_not_fill_the_log(telling: Site, door: httpx.Client) -> None:
    """One line a minute for each reason."""
    told = lambda: [line for line in telling.log if "its_names" in line and "no time stamp" in line]  # noqa: E731
    before = len(told())
    for _ in range(50):
        assert door.post("/hooks/its_names", content=b"{}").status_code == 401
    until(told, "the line in the log")
    assert door.post("/hooks/our_names", content=b"{}").status_code == 401  # told after all of them
    until(lambda: any("our_names" in line for line in telling.log), "the next line")
    assert len(told()) <= before + 1


def test_redis_is_away(telling: Site, door: httpx.Client, exits: ExitStack) -> None:
    """A genuine one may be sent again later; a forged one is refused as ever. Afterwards all goes on."""
    _job(telling, "j-1")
    telling.redis.config_set("maxmemory", "1")
    exits.callback(telling.redis.config_set, "maxmemory", "0")
    assert _tell(door, {"job": "j-1"}).status_code == 503
    assert _tell(door, {"job": "j-1"}, secret=OTHER_SECRET).status_code == 401
    telling.redis.config_set("maxmemory", "0")
    assert _tell(door, {"job": "j-1"}).status_code == 202
    assert _due_in(telling, "j-1") < 1
