"""One job for each tick, whatever becomes of the beats: two of them, one that is killed, one whose clock is wrong."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.apps.beat import Beat
from click import Command
from click.testing import CliRunner
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console

from config.runtime import Runtime
from jobs.clock import ManualClock
from jobs.errors import ConfigurationError
from jobs.states import JobState
from tests.command.schema import checked
from workflows.command import schedules as command
from workflows.command import show
from workflows.schedules import table
from workflows.schedules.beat import Ticker

from .conftest import BODY, Stage


class Beats:
    """Beats over the ledger of a stage.

    Args:
        stage: whose clock is the ledger's.
        path: of the file of schedules.
    """

    def __init__(self, stage: Stage, path: Path) -> None:
        self.stage, self.path = stage, path

    def at(self, moment: str, zone: str = "UTC") -> float:
        """Set the clock, and give the time."""
        wanted = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).timestamp()
        self.stage.clock.advance(wanted - self.stage.clock.now())
        return wanted

    def write(self, crontab: str, zone: str = "UTC", catch_up: float = 0, **kwargs: Any) -> None:
        """Write the file: one schedule, of certificates."""
        kwargs = {**BODY, **kwargs}
        entry = {
            "workflow": "myipr.certify", "crontab": crontab, "timezone": zone, "catch_up": catch_up, "kwargs": kwargs,
        }  # fmt: skip
        self.path.write_text(json.dumps({"certs": entry}))

    def beat(self, clock: ManualClock | None = None) -> Ticker:
        """A beat that begins now."""
        run = self.stage.run
        if clock is not None:
            run = Runtime(run.settings, ledger=run.ledger, clock=clock)
        return Ticker(run, self.stage.app, self.schedules())

    def schedules(self) -> list[table.Schedule]:
        """What stands in the file."""
        return table.read(self.path, longest=7 * 86400)

    def started(self) -> dict[str, str]:
        """When each job was started, by its id: each has begun once."""
        events = [event for event in self.stage.run.ledger.events("myipr") if event.source is None]
        found = {event.job_id: f"{datetime.fromtimestamp(event.at, UTC):%H:%M:%S}" for event in events}
        assert len(found) == len(events)
        return found


@pytest.fixture
def beats(stage: Stage, tmp_path: Path) -> Beats:
    """Beats with a schedule of every minute, at half a minute past twelve."""
    found = Beats(stage, tmp_path / "schedules.json")
    found.write("* * * * *")
    found.at("2027-01-01T12:00:30")
    return found


def test_a_job_for_each_tick(stage: Stage, beats: Beats) -> None:
    """At its minute, under an id that tells it, tagged with the schedule's name; the next look is for the next tick."""
    beat = beats.beat()
    assert beat.look() == 5.0
    assert beats.started() == {}
    stage.clock.advance(28)
    assert beat.look() == pytest.approx(2.0)
    stage.clock.advance(2)
    assert beat.look() == 5.0
    stage.clock.advance(60)
    beat.look()
    assert beats.started() == {"certs.20270101T1201Z": "12:01:00", "certs.20270101T1202Z": "12:02:00"}
    job = stage.job("certs.20270101T1201Z")
    assert (job.state, job.workflow, job.tags) == (JobState.ACCEPTED, "myipr.certify", {"schedule": "certs"})
    assert stage.finish("certs.20270101T1201Z").state is JobState.SUCCEEDED


def test_two_beats_start_one_job(stage: Stage, beats: Beats, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever comes second finds the same job."""
    caplog.set_level(logging.INFO)
    both = [beats.beat(), beats.beat()]
    for _ in range(180):
        for beat in both:
            beat.look()
        stage.clock.advance(1)
    assert list(beats.started()) == [f"certs.20270101T120{minute}Z" for minute in (1, 2, 3)]
    answers = [line.fields["answer"] for line in caplog.records if line.msg == "tick_started"]  # type: ignore[attr-defined]
    assert sorted(answers) == ["created"] * 3 + ["same"] * 3


def test_two_beats_whose_clocks_differ(stage: Stage, beats: Beats) -> None:
    """They go by the ledger's clock, and so agree; if they did not, there would be one job still."""
    early = ManualClock(stage.clock.now() + 45)
    both = [beats.beat(), beats.beat(early)]
    for _ in range(180):
        for beat in both:
            beat.look()
        stage.clock.advance(1)
        early.advance(1)
    assert list(beats.started()) == [f"certs.20270101T120{minute}Z" for minute in (1, 2, 3, 4)]


@pytest.mark.parametrize("away", [1.0, 20.0, 59.0])
def test_a_beat_that_is_killed_in_its_minute(stage: Stage, beats: Beats, away: float) -> None:
    """Before it started the job: the next one does. After: that one finds it."""
    beats.beat().look()
    beats.at("2027-01-01T12:01:00")
    stage.clock.advance(away)  # killed at 12:00:30, back so long after the tick
    beats.beat().look()
    assert list(beats.started()) == ["certs.20270101T1201Z"]
    beats.beat().look()  # killed again, right after it
    assert list(beats.started()) == ["certs.20270101T1201Z"]


def test_what_was_missed_stays_missed(stage: Stage, beats: Beats, caplog: pytest.LogCaptureFixture) -> None:
    """By default: after an hour of silence only the tick of this minute is started. A beat that hung tells of it."""
    hung = beats.beat()
    hung.look()
    beats.at("2027-01-01T13:00:20")
    beats.beat().look()
    hung.look()
    assert list(beats.started()) == ["certs.20270101T1300Z"]
    (told,) = [line for line in caplog.records if line.msg == "ticks_missed"]
    assert told.fields == {"schedule": "certs", "first": "certs.20270101T1201Z"}  # type: ignore[attr-defined]


def test_what_was_missed_is_caught_up(stage: Stage, beats: Beats) -> None:
    """For so long as the schedule says; of two beats that come back, one starts each job."""
    beats.write("*/10 * * * *", catch_up=1800)
    beats.beat().look()
    beats.at("2027-01-01T13:05:00")
    for beat in (beats.beat(), beats.beat()):
        beat.look()
    assert list(beats.started()) == [f"certs.20270101T{at}Z" for at in ("1240", "1250", "1300")]


def test_nothing_is_caught_up_from_before_it_was_there(stage: Stage, beats: Beats) -> None:
    """A schedule that is new, or has a new crontab, begins now: nobody wanted the ticks before."""
    beats.write("0 12 * * *", catch_up=86400)
    beats.beat().look()
    assert beats.started() == {}
    beats.write("15 11 * * *", catch_up=86400)
    beats.at("2027-01-01T14:00:00")
    beats.beat().look()
    assert beats.started() == {}
    beats.at("2027-01-02T12:30:00")
    beats.beat().look()
    assert list(beats.started()) == ["certs.20270102T1115Z"]


def test_the_ledger_is_away_at_a_tick(
    stage: Stage, beats: Beats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again each second; what cannot be started within its minute is missed, and said to be."""
    beat, ledger = beats.beat(), stage.run.ledger
    beat.look()
    with monkeypatch.context() as away:

        def lost(*_: object) -> None:
            raise RedisConnectionError("away")

        away.setattr(ledger, "accept_all", lost)
        beats.at("2027-01-01T12:01:00")
        assert beat.look() == 1.0
        beats.at("2027-01-01T12:02:15")
        assert beat.look() == 1.0
    beat.look()
    assert beats.started() == {"certs.20270101T1202Z": "12:02:15"}
    assert [line.msg for line in caplog.records if line.msg.startswith("tick")] == [
        "tick_waits",
        "ticks_missed",
        "tick_waits",
    ]


@pytest.mark.parametrize(
    ("day", "tick"),
    [("2026-03-29", "0130"), ("2026-10-25", "0030"), ("2026-10-26", "0130")],
)
def test_a_night_in_which_clocks_change(stage: Stage, beats: Beats, day: str, tick: str) -> None:
    """At half past two in Berlin, looked for every second of that night: one job."""
    beats.write("30 2 * * *", "Europe/Berlin", catch_up=3600)
    beats.at(f"{day}T00:00:00")
    both = [beats.beat(), beats.beat()]
    for _ in range(4 * 360):
        for beat in both:
            beat.look()
        stage.clock.advance(10)
    assert list(beats.started()) == [f"certs.{day.replace('-', '')}T{tick}Z"]


def test_the_time_of_the_tick_in_a_request(stage: Stage, beats: Beats) -> None:
    """In the zone of the schedule, so the same however late it is started and whoever starts it."""
    beats.write("0 1 * * *", "Asia/Tokyo", name={"$tick": "Report of %Y-%m-%d %H:%M"}, tags={"shop": {"$tick": "%j"}})
    beats.at("2026-12-31T15:59:00")
    first, second = beats.beat(), beats.beat()
    first.look()
    second.look()
    beats.at("2026-12-31T16:00:00")
    first.look()
    stage.clock.advance(40)
    second.look()
    job = stage.job("certs.20261231T1600Z")
    assert job.request is not None
    assert job.request["name"] == "Report of 2027-01-01 01:00"
    assert job.tags == {"schedule": "certs", "shop": "001"}
    assert len(beats.started()) == 1


def test_two_beats_with_two_files(stage: Stage, beats: Beats, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of a deployment: the first one wins, the other says so, and both go on."""
    old = beats.beat()
    beats.write("* * * * *", name="another name")
    new = beats.beat()
    for minute in (0, 1, 2):
        beats.at(f"2027-01-01T12:0{minute}:30")
        for beat in (new, old) if minute == 1 else (old, new):
            beat.look()
    names = [(stage.job(job_id).request or {})["name"] for job_id in beats.started()]
    assert names == ["another name", BODY["name"]]
    refused = [line.fields for line in caplog.records if line.msg == "tick_refused"]  # type: ignore[attr-defined]
    assert len(refused) == 2
    assert "another request" in refused[0]["reason"]


def test_the_schedules_are_listed(stage: Stage, beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their next ticks in their own zone and their last jobs, for people and for machines."""
    beats.write("0 6 * * *", "Asia/Tokyo")
    monkeypatch.setattr(command, "_configured", beats.schedules)
    line = {
        "name": "certs",
        "workflow": "myipr.certify",
        "crontab": "0 6 * * *",
        "timezone": "Asia/Tokyo",
        "next": ["2027-01-02T06:00+09:00", "2027-01-03T06:00+09:00"],
    }
    as_json = ["--json", "--ticks", "2"]
    assert checked("schedules", CliRunner().invoke(command.schedules, as_json).output) == [line]
    beat = beats.beat()
    beat.look()
    beats.at("2027-01-01T21:00:00")
    beat.look()
    line["next"] = ["2027-01-03T06:00+09:00", "2027-01-04T06:00+09:00"]
    line["last"] = {"job_id": "certs.20270101T2100Z", "state": "accepted"}
    assert checked("schedules", CliRunner().invoke(command.schedules, as_json).output) == [line]
    plain = CliRunner().invoke(command.schedules, ["--ticks", "1"]).output
    assert plain.rstrip("\n").split("\t") == [
        "certs", "myipr.certify", "0 6 * * *", "Asia/Tokyo", "2027-01-03T06:00+09:00", *line["last"].values(),
    ]  # fmt: skip
    shown = io.StringIO()
    monkeypatch.setattr(show, "console", Console(file=shown, force_terminal=True, width=200))
    assert CliRunner().invoke(command.schedules).exit_code == 0
    assert all(text in shown.getvalue() for text in ("2027-01-03T06:00+09:00", "certs.20270101T2100Z"))


@pytest.mark.parametrize("wanted", [command.beat, command.schedules], ids=lambda wanted: wanted.name)
def test_a_bad_file_starts_nothing(beats: Beats, monkeypatch: pytest.MonkeyPatch, wanted: Command) -> None:
    """The command ends with the field that is wrong, before beat begins."""
    beats.write("0 6 * *")
    monkeypatch.setattr(command, "_configured", beats.schedules)
    monkeypatch.setattr(Beat, "run", lambda _: pytest.fail("beat has begun"))
    result = CliRunner().invoke(wanted)
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).startswith("schedules.json: certs.crontab: has 4 fields")
