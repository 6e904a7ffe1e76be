"""`settle events` and `settle webhooks` in one process, with a ledger whose clock stands still."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner

from config import runtime as shared
from jobs.errors import InvalidJob, JobNotFound, SettleError
from jobs.ledger import Event
from tests.command.schema import checked
from tests.waiting import until
from workflows import events as reading
from workflows.command.events import events
from workflows.command.webhooks import webhooks

from .conftest import SECRET, WAY, House, webhook
from .receiver import Endpoint

ENABLE = ("webhooks", "enable", "shop", "--json")

Settle = Callable[..., str]
Deliver = Callable[..., None]


@pytest.fixture
def settle(house: House) -> Iterator[Settle]:
    """Run a command; what it printed."""

    def run(*arguments: str, code: int = 0) -> str:
        shared.use(house.run)
        command: Any = {"events": events, "webhooks": webhooks}[arguments[0]]
        done = CliRunner().invoke(command, list(arguments[1:]))
        if isinstance(done.exception, SettleError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    yield run
    shared.use(None)


def test_the_events_of_a_job_and_of_all(house: House, settle: Settle) -> None:
    """For people a line each; for machines what the schema says."""
    house.job("a", *WAY, message="half way", progress=50)
    house.job("b", "failed", provider="lettrlabs")
    assert [line.split("\t")[1:] for line in settle("events", "a").splitlines()] == [
        ["a", "accepted", ""],
        *[["a", state, "50 %, half way"] for state in WAY],
    ]
    told = [json.loads(line) for line in settle("events", "--json").splitlines()]
    assert sorted((event["job_id"], event["seq"]) for event in told) == [
        *[("a", n) for n in (1, 2, 3, 4)],
        ("b", 1),
        ("b", 2),
    ]
    assert len(settle("events", "--provider", "lettrlabs").splitlines()) == 2
    assert settle("events", "a", "--follow").count("\n") == 4  # it has ended, so there is nothing to follow


def test_a_job_is_followed_to_its_end(house: House, settle: Settle) -> None:
    """What is kept first, then what happens; the command ends with the job."""
    house.job("a", "submitting")
    house.job("b", *WAY)
    printed: list[bool] = []
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: (until(lambda: printed, "the first line"), house.moved("a", "polling", "failed")))
        real = house.run.ledger.events

        def events(provider: str, job_id: str | None = None) -> list[Event]:
            printed.append(True)
            return real(provider, job_id)

        house.run.ledger.events = events  # type: ignore[method-assign]
        lines = settle("events", "a", "--follow", "--json").splitlines()
        ended.result()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4]
    assert json.loads(lines[-1])["target"] == "failed"


def test_all_are_followed_from_now_or_from_the_start(house: House) -> None:
    """Without a group nothing is remembered but the place."""
    house.job("a", *WAY)
    places, stop = reading.ends(house.run), threading.Event()
    house.job("b", "failed", provider="lettrlabs")
    got: list[tuple[str, int]] = []
    for event in reading.news(house.run, places, stop):
        got.append((event.job_id, event.seq))
        if event.job_id == "b" and event.seq == 2:
            house.job("c", "failed")
        if event.job_id == "c" and event.seq == 2:
            stop.set()
    assert got == [("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    everything: dict[str, str] = {}
    assert len(list(reading.history(house.run, until=everything))) == 8
    assert everything == {name: place for name, place in reading.ends(house.run).items() if place != "0-0"}


def test_a_group_prints_each_event_once(house: House, settle: Settle) -> None:
    """What is printed is done with."""
    house.job("a", *WAY)
    assert len(settle("events", "--group", "billing").splitlines()) == 4
    assert settle("events", "--group", "billing") == ""
    assert settle("events", "--group", "late", "--from", "now") == ""
    house.job("b", "failed")
    for group in ("billing", "late"):
        assert [json.loads(line)["seq"] for line in settle("events", "--group", group, "--json").splitlines()] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a", "--group", "g"), "ID: leave out"),
        (("--from", "now"), "from: it needs"),
        (("--group", "a b"), "group: use"),
        (("--provider", "nobody"), "'nobody' is not one of"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(settle: Settle, arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(InvalidJob, match=told):
        settle("events", *arguments)


def test_a_job_that_is_not_there_has_no_events(settle: Settle) -> None:
    with pytest.raises(JobNotFound):
        settle("events", "never-was")


def test_dead_letters_are_listed_and_replayed(
    house: House, endpoint: Endpoint, deliver: Deliver, settle: Settle
) -> None:
    """One job, or all; what was not given up is not found."""
    house.targets(webhooks={"shop": webhook(endpoint, retry_for=0)})
    endpoint.says(500)
    deliver()
    for name in ("a", "b", "c"):
        house.job(name, "failed")
    deliver()
    (listed,) = checked("webhooks list", settle("webhooks", "list", "--json"))
    assert (listed["target"], listed["where"], listed["state"]) == ("shop", "http://127.0.0.1", "open")
    assert (listed["waiting"], listed["dead"], listed["failed"]) == (0, 3, 3)
    assert "3 given up" in settle("webhooks", "list")
    told = checked("webhooks dead", settle("webhooks", "dead", "--json"))
    assert [(each["job_id"], each["type"], each["tries"]) for each in told] == [(n, "job.failed", 1) for n in "abc"]
    assert all(each["reason"] == "HTTP 500" for each in told)
    assert len(settle("webhooks", "dead", "shop").splitlines()) == 3
    endpoint.says(200)
    endpoint.got.clear()
    assert settle("webhooks", "replay", "b") == "1 deliveries wait for their turn\n"
    deliver()
    assert endpoint.story() == {"b": [2]}
    with pytest.raises(JobNotFound, match="no delivery of 'b' was given up"):
        settle("webhooks", "replay", "b")
    again = settle("webhooks", "replay", "--all", "--target", "shop", "--json")
    assert checked("webhooks replay", again) == [{"target": "shop", "replayed": 2}]
    deliver()
    assert endpoint.story() == {"a": [2], "b": [2], "c": [2]}
    for arguments in ((), ("a", "--all")):
        with pytest.raises(InvalidJob, match="ID: give"):
            settle("webhooks", "replay", *arguments)
    for command in (("dead", "nobody"), ("replay", "--all", "--target", "nobody"), ("enable", "nobody")):
        with pytest.raises(InvalidJob, match="'nobody' is not one of shop"):
            settle("webhooks", *command)


def test_a_target_that_is_gone_is_enabled_by_hand(
    house: House, endpoint: Endpoint, deliver: Deliver, settle: Settle
) -> None:
    """And a name that is no longer configured is still shown, with what waits."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    endpoint.says(410)
    deliver()
    house.job("a", "failed")
    deliver()
    assert "\tdisabled\t1 waiting\t" in settle("webhooks", "list")
    assert settle("webhooks", "enable", "shop") == "shop is enabled\n"
    assert settle("webhooks", "enable", "shop") == "shop was neither disabled nor paused\n"
    assert [(told["state"], told["waiting"]) for told in checked("webhooks enable", settle(*ENABLE))] == [("open", 1)]
    house.targets()
    assert "\tnot configured\t1 waiting\t" in settle("webhooks", "list")
    house.targets(webhooks={"shop": webhook(endpoint)})
    with pytest.raises(InvalidJob, match="'shop' is configured"):
        settle("webhooks", "forget", "shop")
    house.targets()
    told = checked("webhooks forget", settle("webhooks", "forget", "shop", "--json"))
    assert told == [{"target": "shop", "waiting": 1, "dead": 0}]
    assert settle("webhooks", "list") == ""
    assert [key for key in house.run.redis.scan_iter("settle:*") if "shop" in key] == []


def test_an_endpoint_is_tried(house: House, endpoint: Endpoint, settle: Settle) -> None:
    """With a signed event of its own type; the answer is the exit code."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    assert settle("webhooks", "test", "shop") == "shop: HTTP 200\n"
    (got,) = endpoint.got
    assert json.loads(got.body)["type"] == "settle.test"
    assert got.id.startswith("test:")
    endpoint.says(401)
    assert settle("webhooks", "test", "shop", code=1) == "shop: HTTP 401\n"
    with pytest.raises(InvalidJob, match="'nobody' is not one of shop"):
        settle("webhooks", "test", "nobody")
    for status, code, result in ((200, 0, "sent"), (500, 1, "later"), (410, 1, "gone")):
        endpoint.says(status)
        told = checked("webhooks test", settle("webhooks", "test", "shop", "--json", code=code))
        assert [(each["target"], each["result"]) for each in told] == [("shop", result)]
        assert told[0]["reason"].startswith(f"HTTP {status}")
    assert SECRET not in settle("webhooks", "list")
