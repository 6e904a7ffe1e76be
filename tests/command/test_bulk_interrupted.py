"""Many lines, and an end in the middle: the report says where each stands, the same command again goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as Lost

from config.embedded import EmbeddedRedis
from jobs.ledger import Ledger
from tests.waiting import until

from .conftest import House, Settle
from .schema import checked
from .terminal import Terminal

COMMAND = ("submit", "lettrlabs.delete", "--input", "ids.csv", "--report", "report.jsonl")


def _ids(folder: Path, lines: int) -> None:
    (folder / "ids.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(1, lines + 1)))


def _states(folder: Path) -> list[str]:
    return [line["state"] for line in checked("report", (folder / "report.jsonl").read_text())]


@pytest.mark.parametrize("recorded", [False, True], ids=["lost on its way", "answer lost"])
def test_redis_goes_away_in_the_middle(
    house: House, settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """What is certain and what is not stand in the report; nothing is made twice."""
    _ids(tmp_path, 350)
    accept, calls = house.ledger.accept_all, []

    def once(jobs: Any) -> Any:
        calls.append(len(jobs))
        if len(calls) == 3:
            if recorded:
                accept(jobs)
            raise Lost("gone")
        return accept(jobs)

    monkeypatch.setattr(house.ledger, "accept_all", once)
    done = settle(*COMMAND)
    assert (done.code, done.out) == (5, "")
    assert done.err.splitlines()[0] == (
        "settle: stopped after 200 of 350 lines; the same command again goes on, and repeats nothing"
    )
    assert "Redis does not answer" in done.err.splitlines()[1]
    assert _states(tmp_path) == ["created"] * 200 + ["unsure"] * 100 + ["not_sent"] * 50

    again = settle(*COMMAND)
    assert (again.code, again.err) == (0, "")
    known = 300 if recorded else 200
    assert _states(tmp_path) == ["same"] * known + ["created"] * (350 - known)
    jobs = house.ledger.jobs("lettrlabs", limit=1000)
    assert sorted((job.request or {})["id"] for job in jobs) == list(range(1, 351))


def test_the_report_is_written_as_it_goes(
    house: House, settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it meanwhile sees a whole one."""
    _ids(tmp_path, 250)
    monkeypatch.setattr("workflows.command.bulk_sheet._OFTEN", 0.0)
    monkeypatch.setattr("workflows.command.bulk_sheet._SHARE", 0.0)
    accept, seen = house.ledger.accept_all, []

    def look(jobs: Any) -> Any:
        seen.append(Counter(_states(tmp_path)))
        return accept(jobs)

    monkeypatch.setattr(house.ledger, "accept_all", look)
    assert settle(*COMMAND).code == 0
    assert seen == [{"not_sent": 250}, {"created": 100, "not_sent": 150}, {"created": 200, "not_sent": 50}]
    assert _states(tmp_path) == ["created"] * 250


def test_the_report_before_is_kept_until_there_is_another(house: House, settle: Settle, tmp_path: Path) -> None:
    """A file that cannot be read costs no report."""
    (tmp_path / "report.jsonl").write_text("as it was\n")
    (tmp_path / "ids.csv").write_text("")
    assert settle(*COMMAND).code == 2
    assert (tmp_path / "report.jsonl").read_text() == "as it was\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_where_each_line_stands(house: House, settle: Settle, redis_client: redis.Redis, tmp_path: Path) -> None:
    """Created, the same as before, another request's, wrong (with the field), not readable, equal to another."""
    _ids(tmp_path, 2)
    assert settle(*COMMAND, "--id-prefix", "x-").code == 0
    taken = house.ledger.jobs("lettrlabs")[0]
    (tmp_path / "ids.csv").rename(tmp_path / "two.csv")
    lines = ['{"id": 1}', '{"id": 2}', '{"id": "private"}', "{", '{"id": 1}', '{"id": 3}']
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    redis_client.hset(house.ledger._key("lettrlabs", "job", taken.id), "digest", "of another request")
    command = ("submit", "lettrlabs.delete", "--input", "lines.jsonl", "--report", "report.jsonl", "--id-prefix", "x-")
    done = settle(*command, "--skip-bad", "--duplicates", "skip")
    assert done.code == 6
    report = checked("report", (tmp_path / "report.jsonl").read_text())
    assert Counter(line["state"] for line in report) == {
        "same": 1, "conflict": 1, "invalid": 2, "duplicate": 1, "created": 1
    }  # fmt: skip
    assert [line.get("field") for line in report if line["state"] == "invalid"] == ["id", None]
    assert "private" not in (tmp_path / "report.jsonl").read_text() + done.out + done.err
    assert "use another --id-prefix" in done.err


def test_a_run_that_is_ended_goes_on_when_it_is_repeated(
    redis_server: EmbeddedRedis, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Killed, then ended by Ctrl-C, then left alone: every line becomes one job, and each run leaves a whole report."""
    lines = 2000
    _ids(tmp_path, lines)
    ledger = Ledger(redis_client)
    environment = {**os.environ, "SETTLE_REDIS_URL": redis_server.url, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "workflows.command", *COMMAND, "--json"]

    def recorded() -> int:
        return sum(ledger.counts("lettrlabs").values())

    for sign in (signal.SIGKILL, signal.SIGINT):
        before = recorded()
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as run:
            until(lambda before=before: recorded() > before, "more jobs")
            run.send_signal(sign)
            _, told = run.communicate(timeout=40)
        states = Counter(_states(tmp_path))
        assert sum(states.values()) == lines
        assert before < recorded() < lines
    assert run.returncode == 130
    assert "the same command again goes on, and repeats nothing" in told
    assert 0 < states["same"] <= before
    assert states["created"] <= recorded() - before <= states["created"] + states["unsure"]

    before = recorded()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (summary,) = checked("submit", done.stdout)
    assert summary["jobs"] == {"created": lines - before, "same": before}
    assert recorded() == lines
    assert Counter(_states(tmp_path)) == summary["jobs"]


def test_progress_while_it_waits(redis_server: EmbeddedRedis, redis_client: redis.Redis, tmp_path: Path) -> None:
    """On a terminal; what is known at Ctrl-C is reported."""
    _ids(tmp_path, 3)
    source, report = str(tmp_path / "ids.csv"), tmp_path / "report.jsonl"
    arguments = ("submit", "lettrlabs.delete", "--input", source, "--report", str(report), "--wait", "--json")
    with (
        (tmp_path / "out").open("wb") as out,
        Terminal(*arguments, settings={"SETTLE_REDIS_URL": redis_server.url}, stdout=out) as terminal,
    ):
        terminal.shows("finished")
        terminal.shows("0/3")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ends() == 4
    (summary,) = checked("submit", (tmp_path / "out").read_text())
    assert summary["outcomes"] == {"unfinished": 3}
    assert [json.loads(line)["state"] for line in report.read_text().splitlines()] == ["created"] * 3
