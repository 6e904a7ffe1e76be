"""`settle watch`: what the dashboard shows, what a look costs, and changes in a pipe."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from rich.console import Console

from config.embedded import EmbeddedRedis
from config.runtime import Runtime
from config.settings import made_of
from jobs.ledger import Ledger
from jobs.record import Failure, Job
from jobs.search import Gate, Overview
from jobs.states import JobState
from workflows.command import dashboard, follow, show
from workflows.command.dashboard import LONG, SHORT, Look, Throughput

from .conftest import House, Settle
from .schema import checked
from .terminal import Terminal

S = JobState
NAMES = ["commonsdb", "lettrlabs", "myipr", "unique_tokens"]


def _seen(at: float, **ended: int) -> Look:
    counts: dict[str, dict[JobState, int]] = {
        name: {S.SUCCEEDED: number, S.POLLING: 7} for name, number in ended.items()
    }
    return Look(at, [Overview(name, counts=each) for name, each in counts.items()], [])


def test_throughput_is_told_by_the_counts() -> None:
    """Of the time between two looks; a job that was reopened counts as none."""
    of = Throughput()
    of.add(_seen(1000.0, a=50, b=0))
    assert of.per_second("a", SHORT) is None
    for second in range(1, 121):
        of.add(_seen(1000.0 + second, a=50 + 3 * second, b=10 if second > 115 else 0))
    assert of.per_second("a", SHORT) == of.per_second("a", LONG) == 3.0
    assert of.per_second("b", SHORT) == pytest.approx(1.0)
    assert of.per_second("b", LONG) == pytest.approx(10 / 60)
    assert len(of._seen) <= LONG + 2
    of.add(_seen(1121.0, a=0, b=10))
    assert of.per_second("a", SHORT) == 0.0


def _text(seen: Look, throughput: Throughput, workers: int | None = 3, width: int = 160) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(dashboard.view(seen, throughput, workers))
    console.file.close()
    return console.export_text()


def test_what_the_dashboard_shows(house: House) -> None:
    """Gates with the time left, jobs by state, throughput, lateness, workers, the latest jobs with what is wrong."""
    house.job("old", S.SUCCEEDED)
    house.job("late", S.POLLING, due_at=house.clock.now() - 100, progress=40, word="in_progress")
    house.job("doubt", S.IN_DOUBT, provider="lettrlabs", failure=Failure("lost", "the answer was lost", None))
    house.ledger.pause("myipr", 90)
    house.ledger.pause("unique_tokens", 5 * 365 * 86400)
    throughput = Throughput()
    throughput.add(dashboard.look(house.run, NAMES, 2))
    house.clock.advance(10)
    house.job("new", S.FAILED)
    seen = dashboard.look(house.run, NAMES, 2)
    throughput.add(seen)
    text = _text(seen, throughput)
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith("│")}
    assert "closed, 79.0 s left" in rows["myipr"]
    assert "polling 1, succeeded 1, failed 1" in rows["myipr"]
    assert "│     0.1 │  5.5 │ 1 min 5" in rows["myipr"]
    assert "closed until resumed" in rows["unique_tokens"]
    assert "in_doubt 1" in rows["lettrlabs"]
    assert " open " in rows["commonsdb"]
    assert "2 jobs under way   workers: 3   q quits" in text
    assert "the answer was lost" in rows["doubt"]
    assert {"new", "doubt"} <= set(rows)
    assert "late" not in rows  # only so many of the latest
    assert "workers: asked" in _text(seen, throughput, None)


def test_a_narrow_terminal_has_a_line_for_each_job(house: House) -> None:
    """What does not fit is cut; and nothing that others write is markup."""
    for number in range(3):
        failure = Failure("refused", "[/b] a reason that is longer than what is left of the line", "[/b]")
        house.job(f"order-471{number}[/b]", S.FAILED, word="[/i]no", failure=failure, tags={"[/b]": "[/b]"})
    throughput = Throughput()
    seen = dashboard.look(house.run, ["myipr"], 3)
    throughput.add(seen)
    lines = [line for line in _text(seen, throughput, width=80).splitlines() if "order-471" in line]
    assert len(lines) == 3
    assert all(len(line) == 80 and "[/b]" in line and "[/i]no" in line and "…" in line for line in lines)


def test_what_others_write_is_no_markup(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the tables of the other commands, too."""
    monkeypatch.setattr(show, "console", Console(force_terminal=True, width=200))
    failure = Failure("refused", "[/b] a reason", "[/c] a remedy")
    house.job("order[/a]", S.FAILED, word="[/i]no", failure=failure, tags={"[/d]": "[/e]"})
    for arguments in (["list"], ["status", "order[/a]"], ["wait", "order[/a]"]):
        done = settle(*arguments)
        assert [text for text in ("order[/a]", "[/i]no", "[/b] a reason") if text not in done.out] == []


@pytest.mark.parametrize("jobs", [0, 3, 3000])
def test_a_look_costs_the_same_however_many_jobs_there_are(
    redis_server: EmbeddedRedis, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """Four round trips; of the jobs only the latest are read."""
    ledger = Ledger(redis_client)
    now = ledger.now()
    some: list[tuple[Job, None]] = [
        (Job(f"j-{n:05}", NAMES[n % 4], "x.y", S.POLLING, now - jobs + n, now + 60, due_at=now + n), None)
        for n in range(jobs)
    ]
    ledger.accept_all(some)
    run = Runtime(made_of(redis_url=redis_server.url), ledger=ledger)
    trips: list[int] = []
    once, many = redis.Redis.execute_command, redis.client.Pipeline.execute

    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(self, redis.client.Pipeline):
            trips.append(1)
        return once(self, *args, **options)

    def execute(self: Any, *args: Any, **options: Any) -> Any:
        trips.append(len(self.command_stack))
        return many(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", execute_command)
    monkeypatch.setattr(redis.client.Pipeline, "execute", execute)
    seen = dashboard.look(run, NAMES, 20)
    assert len(trips) <= 4
    assert sum(trips) < 200
    assert [job.id for job in seen.jobs] == [f"j-{n:05}" for n in reversed(range(max(jobs - 20, 0), jobs))]
    assert sum(found.unfinished for found in seen.providers) == jobs


class _Enough(Exception):
    """The test has seen what it wants."""


def _changing(house: House, monkeypatch: pytest.MonkeyPatch, module: Any, *steps: Any) -> None:
    """After each look one thing happens; after the last one Ctrl-C is pressed."""
    left = iter(steps)

    def sleep(_: float) -> None:
        step = next(left, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(module.time, "sleep", sleep)


def _move(house: House, job_id: str, state: JobState, **changes: Any) -> None:
    job = house.ledger.begin("myipr", [(job_id, None)], list(JobState), 30.0)[0]
    now = house.clock.now()
    due = {} if state is S.SUCCEEDED else {"due_at": now}
    move = job.stay(now=now, due_at=now, **changes) if state is job.state else job.to(state, now=now, **due, **changes)
    house.ledger.write([move])


def test_changes_in_a_pipe(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for what is new, and none for what is as it was; figures begin with #."""
    house.job("a", S.POLLING)
    _changing(
        house,
        monkeypatch,
        dashboard,
        lambda: None,
        lambda: house.ledger.pause("myipr", 60),
        lambda: _move(house, "a", S.SUCCEEDED),
    )
    done = settle("watch", "--provider", "myipr", "--provider", "lettrlabs")
    assert done.code == 0
    assert [line.split("\t")[:3] for line in done.out.splitlines()] == [
        ["# myipr", "open", "polling 1"],
        ["# lettrlabs", "open", ""],
        ["a", "myipr.certify", "polling"],
        ["# myipr", "closed", "polling 1"],
        ["# myipr", "closed", "succeeded 1"],
        ["a", "myipr.certify", "succeeded"],
    ]


def test_changes_as_json(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, as the schema has it."""
    house.job("a", S.POLLING)
    _changing(house, monkeypatch, dashboard, lambda: house.job("b"), lambda: None)
    told = checked("watch", settle("watch", "--provider", "myipr", "--json").out)
    assert [line.get("job_id") for line in told] == [None, "a", None, "b"]
    assert [line["counts"] for line in told if "counts" in line] == [{"polling": 1}, {"polling": 2}]
    assert told[0]["gate"] == Gate.OPEN


def test_some_jobs_until_they_end(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """One poll more is no news, progress is."""
    house.job("a", S.POLLING)
    _changing(
        house,
        monkeypatch,
        follow,
        lambda: _move(house, "a", S.POLLING, polls=1),
        lambda: _move(house, "a", S.POLLING, polls=2, progress=50),
        lambda: _move(house, "a", S.SUCCEEDED),
    )
    done = settle("watch", "a", "--json")
    assert [json.loads(line).get("progress", 0) for line in done.out.splitlines()] == [0, 50, 50]
    assert done.code == 0


def test_a_job_that_never_comes_is_told(house: House, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time in which a job that was just sent may be on its way."""
    monkeypatch.setattr(follow, "_GRACE", -1.0)
    done = settle("watch", "nobody")
    assert (done.code, done.err) == (
        3,
        "settle: no job 'nobody' in the ledger: never triggered, or past its retention\n",
    )


def test_on_a_terminal_q_ends_it(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> None:
    """A whole screen, which is taken away again. Keys need no Enter, and the terminal is left as it was."""
    ledger = Ledger(redis_client)
    now = ledger.now()
    ledger.accept(Job("order-4711", "myipr", "myipr.certify", S.POLLING, now, now + 60, due_at=now + 60))
    with Terminal("watch", settings={"SETTLE_REDIS_URL": redis_server.url}) as terminal:
        terminal.shows("1 jobs under way")
        terminal.shows("order-4711")
        ledger.accept(Job("order-4712", "myipr", "myipr.certify", S.POLLING, now + 1, now + 60, due_at=now + 60))
        terminal.shows("2 jobs under way")
        terminal.press("x")
        terminal.press("q")
        assert terminal.ends() == 0
        assert terminal.text.count("\x1b[?1049h") == terminal.text.count("\x1b[?1049l") == 1
        assert terminal.mode == terminal.before
