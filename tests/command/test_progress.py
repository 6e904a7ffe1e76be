"""Progress of long work: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis

from config.embedded import EmbeddedRedis
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from workflows.command import progress, restored

from .conftest import House, Settle
from .terminal import Terminal

S = JobState


def test_in_a_pipe_there_is_nothing_of_it(house: House, settle: Settle, tmp_path: Path) -> None:
    """Neither of jobs nor of lines nor of bytes."""
    house.job("a", S.POLLING, progress=40)
    assert settle("wait", "a", "--timeout", "0").err == ""
    (tmp_path / "file.bin").write_bytes(b"x" * 3_000_000)
    assert settle("certify", "file.bin", "--category-id", "10").err == ""
    (tmp_path / "ids.csv").write_text("id\n17\n18\n")
    done = settle("submit", "lettrlabs.delete", "--input", "ids.csv")
    assert (done.out, done.err) == ("2 lines, 0 invalid; jobs: 2 created\n", "")


def _bars(jobs: list[Job | None]) -> list[tuple[str, float | None, float, str]]:
    with progress.job_bars(len(jobs)) as bars:
        bars.show(jobs)
        bars.show(jobs)
        return [(each.description, each.total, each.completed, each.fields["said"]) for each in bars._progress.tasks]


def test_each_job_has_its_bar(house: House) -> None:
    """With the provider's progress, where it tells one."""
    jobs = [
        house.job("a", S.POLLING, progress=40, word="minting [1]"),
        house.job("b", S.ACCEPTED),
        house.job("c", S.SUCCEEDED),
        None,
    ]
    assert _bars(jobs) == [
        ("a", 100, 40, "polling, minting [1], 40 %"),
        ("b", None, 0, "accepted"),
        ("c", 100, 100, "succeeded, 100 %"),
    ]


def test_many_jobs_share_one(house: House) -> None:
    """How many of them have ended."""
    jobs: list[Job | None] = [house.job(f"j-{n}", S.SUCCEEDED if n < 5 else S.POLLING) for n in range(30)]
    assert _bars(jobs) == [("jobs", 30, 5, "5/30")]


@pytest.fixture
def waiting(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> dict[str, str]:
    """A job that is on its way in a real Redis; the settings that lead there."""
    ledger = Ledger(redis_client)
    now = ledger.now()
    job = Job(
        "order-4711", "myipr", "myipr.certify", S.POLLING, now, now + 60, due_at=now + 60, progress=40, word="minting"
    )
    ledger.accept(job)
    return {"SETTLE_REDIS_URL": redis_server.url}


def test_on_a_terminal_bars_are_drawn_and_the_result_is_not_disturbed(waiting: dict[str, str], tmp_path: Path) -> None:
    """Standard output in a file has JSON alone, while the bars are on the terminal."""
    with (tmp_path / "out").open("wb") as out:
        arguments = ("wait", "order-4711", "--timeout", "1", "--json")
        with Terminal(*arguments, settings=waiting, stdout=out) as terminal:
            terminal.shows("polling, minting, 40 %")
            assert terminal.ends() == 4
    assert json.loads((tmp_path / "out").read_text())["job_id"] == "order-4711"
    assert "━" in terminal.text


def test_what_is_printed_meanwhile_goes_where_it_was_meant_to(
    waiting: dict[str, str], redis_client: redis.Redis, tmp_path: Path
) -> None:
    """`settle restored` prints while its bar is drawn: into a file, or above the bar where both are on one terminal."""
    ledger = Ledger(redis_client)
    now = ledger.now()
    ledger.accept(Job("order-4712", "lettrlabs", "lettrlabs.convert", S.ACCEPTED, now, now + 60, due_at=now + 60))
    with (tmp_path / "out").open("wb") as out, Terminal("restored", settings=waiting, stdout=out) as terminal:
        terminal.shows("━")
        assert terminal.ends() == 0
    assert (tmp_path / "out").read_text().splitlines()[0] == f"order-4712  lettrlabs.convert  {restored.PERSON}"
    assert "order-4712" not in terminal.text
    with Terminal("restored", settings=waiting) as terminal:
        assert terminal.ends() == 0
        assert re.search(r"[\r\nK]order-4712  lettrlabs.convert  ", terminal.text)
