"""Following what happens, as server-sent events: at once, to all, and without a gap after a lost connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.embedded import EmbeddedRedis
from jobs.states import JobState
from tests.waiting import until

from .conftest import Site, Told, events, started


@contextmanager
def _following(client: httpx.Client, last: str | None = None, **parameters: Any) -> Iterator[Iterator[Told]]:
    headers = {"Last-Event-ID": last} if last else {}
    with client.stream("GET", "/api/events", params=parameters, headers=headers) as response:
        assert response.status_code == 200, response.read()
        found = events(response)
        assert next(found).event == "overview"  # from now on it listens
        yield found


def _jobs(found: Iterator[Told], number: int) -> list[Told]:
    """The next so many events of jobs."""
    seen: list[Told] = []
    while len(seen) < number:
        told = next(found)
        if told.event != "overview":
            seen.append(told)
    return seen


def _ids(told: list[Told]) -> list[str]:
    return [each.data["job_id"] for each in told]


def test_a_move_is_told_to_all_who_listen(site: Site, client: httpx.Client) -> None:
    """At once, in order, with what the event stream of Redis has."""
    with site.client() as other, _following(client) as one, _following(other) as two:
        job = site.job("a")
        site.ledger.write([job.stay(now=site.ledger.now(), due_at=job.due_at or 0, word="minting", progress=7)])
        first, second = _jobs(one, 2)
        assert _jobs(two, 2) == [first, second]
    assert (first.event, first.data["job_id"], first.data["target"]) == ("job", "a", "polling")
    assert (second.data["source"], second.data["data"]["progress"]) == ("polling", 7)


def test_only_what_is_wanted_is_told(site: Site, client: httpx.Client) -> None:
    """Of one job, or of one provider."""
    with (
        site.client() as other,
        _following(client, job=["b", "c"]) as of_jobs,
        _following(other, provider="lettrlabs") as of_provider,
    ):
        for job_id in "abcd":
            where = {"provider": "lettrlabs", "workflow": "lettrlabs.convert"} if job_id in "ad" else {}
            site.job(job_id, **where)
        assert _ids(_jobs(of_jobs, 2)) == ["b", "c"]
        assert _ids(_jobs(of_provider, 2)) == ["a", "d"]


def test_where_all_jobs_stand_is_told(site: Site, client: httpx.Client) -> None:
    """When it changes, without being asked."""
    with _following(client) as found:
        site.job("a", JobState.IN_DOUBT)
        overviews = (told.data["providers"] for told in found if told.event == "overview")
        assert any(
            {"in_doubt": 1} in [each["counts"] for each in told if each["provider"] == "myipr"] for told in overviews
        )


@pytest.mark.parametrize("missed", [0, 1, 1300])
def test_a_lost_connection_goes_on_where_it_was(site: Site, client: httpx.Client, missed: int) -> None:
    """Nothing is missed and nothing comes twice, over two providers and more than one round trip."""
    with _following(client) as found:
        site.job("first")
        (last,) = _jobs(found, 1)
    for number in range(missed):
        where = {"provider": "lettrlabs", "workflow": "lettrlabs.convert"} if number % 2 else {}
        site.job(f"m-{number}", **where)
    with _following(client, last.id) as found:
        again = _jobs(found, missed)
        assert sorted(_ids(again)) == sorted(f"m-{number}" for number in range(missed))
        site.job("next")
        assert _ids(_jobs(found, 1)) == ["next"]
    if missed:
        half = again[missed // 2]
        with _following(client, half.id) as found:
            assert _ids(_jobs(found, missed - missed // 2)) == [*_ids(again[missed // 2 + 1 :]), "next"]


def test_events_that_are_not_kept_any_more(site: Site, client: httpx.Client) -> None:
    """A browser that was away for too long is told to begin anew, and then goes on."""
    with _following(client) as found:
        site.job("first")
        (last,) = _jobs(found, 1)
    for number in range(5):
        site.job(f"m-{number}")
    site.redis.xtrim("settle:{myipr}:events", maxlen=2, approximate=False)
    with _following(client, last.id) as found:
        (reset,) = _jobs(found, 1)
        assert (reset.event, reset.data["provider"]) == ("reset", "myipr")
        site.job("next")
        assert _ids(_jobs(found, 1)) == ["next"]


@pytest.mark.parametrize("last", ["1", "a=b", "a=1-2&", "myipr=1-0&=2-0", "myipr=1-0 x", "../.."])
def test_an_id_that_we_never_gave_is_refused(client: httpx.Client, last: str) -> None:
    """400, with the name of the header; a browser then stops to ask."""
    answer = client.get("/api/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "Last-Event-ID")


def test_a_bad_filter_is_refused(client: httpx.Client) -> None:
    """Rather than a stream in which nothing ever happens."""
    assert client.get("/api/events", params={"provider": "acme"}).json()["error"]["field"] == "provider"
    assert client.get("/api/events", params={"state": "failed"}).json()["error"]["field"] == "state"


def test_an_event_that_cannot_be_read_stops_nobody(site: Site, client: httpx.Client) -> None:
    """One that a newer version wrote, say: it is left out, and the log says so."""
    with _following(client) as found:
        site.job("before")
        (before,) = _jobs(found, 1)
        site.redis.xadd(
            "settle:{myipr}:events", {"job": "odd", "seq": "1", "from": "", "to": "frozen", "at": "1", "data": "{}"}
        )
        site.job("after")
        assert _ids(_jobs(found, 1)) == ["after"]
    with _following(client, before.id) as found:
        assert _ids(_jobs(found, 1)) == ["after"]
    until(lambda: sum("event_not_understood" in line for line in site.log) >= 2, "the log says so, both times")
    line = next(line for line in site.log if "event_not_understood" in line)
    assert re.fullmatch(r"[\d-]{10} [\d:]{8},\d{3} WARNING MainProcess event_not_understood error=SettleError", line)


def test_one_reader_serves_all_browsers(site: Site) -> None:
    """Redis sees one connection that waits for events, however many follow."""
    with ExitStack() as exits:
        streams = []
        for _ in range(20):
            client = exits.enter_context(site.client())
            streams.append(exits.enter_context(_following(client)))
        site.job("a")
        assert all(_ids(_jobs(found, 1)) == ["a"] for found in streams)
        readers = [client["addr"] for client in site.redis.client_list() if client["cmd"].startswith("xread")]
        assert len(readers) == 1


def test_a_browser_that_does_not_read_holds_up_nobody(site: Site, client: httpx.Client) -> None:
    """Others are told at once; it is sent away, and finds everything when it comes back."""
    with site.client() as lazy, _following(client, job="last") as found, _following(lazy) as unread:
        job = site.job("a")
        message = "x" * 4000
        for number in range(6000):  # more than sockets and queue hold
            (job,) = site.ledger.write(  # type: ignore[assignment]
                [job.stay(now=site.ledger.now(), due_at=job.due_at or 0, message=f"{number} {message}")]
            )
        site.job("last")
        assert _ids(_jobs(found, 1)) == ["last"]
        seen = [told for told in unread if told.event != "overview"]  # until it is sent away
    assert len(seen) < 6001
    with _following(client, seen[-1].id) as found:
        rest = _jobs(found, 6002 - len(seen))
    assert [told.data["seq"] for told in seen + rest] == [*range(1, 6002), 1]


@pytest.mark.timeout(120)
def test_redis_comes_back(tmp_path: Path) -> None:
    """The reader goes on by itself, where it was."""
    with ExitStack() as exits:
        server = EmbeddedRedis(tmp_path)
        with server:
            site = started(server, exits)
            client = exits.enter_context(site.client())
            with _following(client) as found:
                site.job("before")
                (last,) = _jobs(found, 1)
        until(lambda: any("feed_lost_redis" in line for line in site.log), "the feed sees it")
        with server:
            until(lambda: client.get("/api/jobs/before").status_code == 200, "the page works again")
            with _following(client, last.id) as found:
                site.job("after")
                assert _ids(_jobs(found, 1)) == ["after"]
