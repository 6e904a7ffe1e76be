"""What the command tells of a job whose record a newer version wrote: named with the remedy, among all others."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
import redis
from celery import Celery
from rich.console import Console

from jobs.states import JobState
from tests.newer import make_newer
from workflows.command import bulk, dashboard, show
from workflows.command.follow import Told

from .conftest import House, Settle
from .schema import checked

REMEDY = "written by a newer version: update this process"


@pytest.fixture
def mixed(house: House, redis_client: redis.Redis) -> House:
    """Three jobs, of which a newer version wrote the second."""
    for job_id in ("a", "b", "c"):
        house.job(job_id, JobState.SUCCEEDED)
    make_newer(redis_client, "myipr", "b")
    return house


def test_a_listing(mixed: House, settle: Settle) -> None:
    """As text, and as JSON that the schema knows."""
    done = settle("list")
    assert done.code == 0, done.err
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["c", "a", "b"]
    assert done.out.splitlines()[-1].split("\t")[1:3] == ["myipr", "unreadable"]
    assert REMEDY in done.out.splitlines()[-1]
    *_, last = [json.loads(line) for line in settle("list", "--json").out.splitlines()]
    assert (last["job_id"], last["remedy"]) == ("b", REMEDY)
    checked("list", json.dumps(last))
    assert "go on with --after b" in settle("list", "--limit", "2").err
    assert settle("list", "--after", "b").out.startswith("a\t")


def test_waiting_and_watching(mixed: House, settle: Settle) -> None:
    """How it ended is known: its state is kept by the scripts."""
    done = settle("wait", "a", "b", "c")
    assert (done.code, done.out.count("\n")) == (0, 3), done.err
    assert REMEDY in done.out
    done = settle("watch", "a", "b", "c", "--json")
    assert (done.code, len(done.out.splitlines())) == (0, 3), done.err
    for arguments in (("wait", "--chain", "b"), ("status", "b")):
        done = settle(*arguments)
        assert (done.code, REMEDY in done.err) == (5, True), done.err


def test_the_dashboard(mixed: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Among the latest jobs, live and line by line."""
    seen = dashboard.look(mixed.run, ["myipr"], 10)
    assert [job.id for job in seen.jobs] == ["c", "b", "a"]
    throughput = dashboard.Throughput()
    throughput.add(seen)
    seen = replace(seen, providers=[replace(seen.providers[0], unreadable=3)])
    screen = Console(file=StringIO(), width=200)
    screen.print(dashboard.view(seen, throughput, 1), show.table(seen.jobs))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "unreadable 3" in text
    assert text.count(REMEDY) == 2
    told = Told(as_json=False)
    for job in seen.jobs * 2:  # type: ignore[operator]
        told.tell(job)
    assert capsys.readouterr().out.count(REMEDY) == 1


def test_a_bulk_run_does_not_wait_for_it(mixed: House, app: Celery) -> None:
    """Its line says why; nobody here will ever read how it ended."""
    ended: list[tuple[object, ...]] = []

    class Sheet:
        def ended(self, *what: object) -> None:
            ended.append(what)

    found = [bulk.Sender._look(Sheet(), number, job) for number, job in enumerate(mixed.ledger.read(["a", "b"]))]  # type: ignore[arg-type]
    assert found == [True, True]
    assert ended[0][1] == "succeeded"
    assert ended[1][1] == "unreadable"
    assert REMEDY in str(ended[1][2])
