"""What the stages tell of themselves, as Prometheus would read it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from config import metrics
from jobs.artifacts import Artifact
from jobs.states import JobState
from providers.base import Located, Observation, Verdict
from providers.errors import Busy, LostAnswer, NotSent, Refused, Unauthorized
from tasks.repeat import Repeating

from .conftest import BODY, DONE, RUNNING, Stage

FILE = b"AAA\nBBB\nCCC"
Value = Callable[..., float | None]


@pytest.fixture
def value(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Value]:
    """Counting is on: `value(name, **labels)` gives what was counted."""
    registry = CollectorRegistry()
    metrics.enable(tmp_path_factory.mktemp("counts")).register(registry)
    yield lambda name, **labels: registry.get_sample_value(f"settle_{name}", labels)
    metrics.disable()


def _ready(**promised: Any) -> Observation:
    found = {"size": len(FILE), "lines": 3, "sha256": hashlib.sha256(FILE).hexdigest(), **promised}
    return Observation(Verdict.SUCCEEDED, word="completed", artifacts=(Artifact("tokens.txt", link="/data", **found),))


def test_the_way_of_a_job(stage: Stage, value: Value) -> None:
    """Trigger, submission, polls, every move, and the end."""
    stage.script.says("observe", RUNNING, RUNNING, DONE)
    stage.trigger()
    stage.finish()
    assert value("triggers_total", provider="myipr", answer="created") == 1
    assert value("submissions_total", provider="myipr", result="accepted") == 1
    assert value("polls_total", provider="myipr", result="running") == 2
    assert value("polls_total", provider="myipr", result="succeeded") == 1
    assert value("moves_total", provider="myipr", source="polling", target="succeeded") == 1
    ended = {"provider": "myipr", "workflow": "myipr.certify", "state": "succeeded", "kind": ""}
    assert value("jobs_finished_total", **ended) == 1


def test_a_bundle_is_counted_job_by_job(stage: Stage, value: Value) -> None:
    """Ten jobs in one message are ten polls, each with its own lateness."""
    stage.script.says("observe", RUNNING)
    for number in range(10):
        stage.trigger(f"j-{number}")
    stage.tick()
    due = [stage.job(f"j-{number}").due_at or 0.0 for number in range(10)]
    stage.clock.advance(60)
    late = [stage.clock.now() - each for each in due]
    stage.tick()
    assert value("polls_total", provider="myipr", result="running") == 10
    assert value("poll_lateness_seconds_count", provider="myipr") == 10
    assert value("poll_lateness_seconds_sum", provider="myipr") == pytest.approx(sum(late), abs=0.02)
    assert value("poll_lateness_seconds_bucket", provider="myipr", le="30.0") == 0
    assert value("poll_lateness_seconds_bucket", provider="myipr", le="60.0") == 10


def test_a_poll_message_of_somebody_who_does_not_count(stage: Stage, value: Value) -> None:
    """A clock of another version sends no times: the poll is done and counted, its lateness is unknown."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    stage.clock.advance(60)
    claims = stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr")).claims
    stage.app.tasks["settle.poll"].apply(args=["j-1"], kwargs={"seqs": [claims[0].seq]})
    assert value("polls_total", provider="myipr", result="running") == 1
    assert not value("poll_lateness_seconds_count", provider="myipr")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Observation(Verdict.RUNNING, word="who-knows", known=False), "unknown_word"),
        (Observation(Verdict.FAILED, word="failed"), "failed"),
        (LostAnswer("no answer"), "lost_answer"),
        (Unauthorized("HTTP 401"), "unauthorized"),
        (RuntimeError("a defect"), "RuntimeError"),
    ],
    ids=["word", "failed", "lost", "key", "defect"],
)
def test_each_observation_has_its_result(stage: Stage, value: Value, answer: Any, result: str) -> None:
    """Verdicts by their name, errors by their kind."""
    stage.script.says("observe", answer)
    stage.trigger()
    stage.until(lambda job: job.polls > 0)
    assert value("polls_total", provider="myipr", result=result) == 1


def test_errors_of_submissions_and_what_the_provider_knew(stage: Stage, value: Value) -> None:
    """Sent three times, in doubt once, found at the second question."""
    stage.script.says("submit", NotSent("no connection"), LostAnswer("no answer"))
    stage.script.says("locate", Located(), Located(receipt={"remote_id": "r-7"}))
    stage.trigger()
    stage.finish()
    for result, number in (("not_sent", 1), ("lost_answer", 1), ("accepted", None)):
        assert value("submissions_total", provider="myipr", result=result) == number
    assert value("doubts_total", provider="myipr", result="unknown") == 1
    assert value("doubts_total", provider="myipr", result="found") == 1


def test_a_refused_job_ends_with_its_kind(stage: Stage, value: Value) -> None:
    """By the provider, and by us before it ever hears of it."""
    stage.script.says("submit", Refused("HTTP 400", status=400))
    stage.trigger()
    stage.finish()
    ended = {"provider": "myipr", "workflow": "myipr.certify", "state": "failed", "kind": "refused"}
    assert value("jobs_finished_total", **ended) == 1
    stage.trigger("j-2", name="without a hash")
    assert value("jobs_finished_total", **{**ended, "kind": "invalid"}) == 1
    stage.trigger("j-2", name="without a hash")
    assert value("jobs_finished_total", **{**ended, "kind": "invalid"}) == 1
    stage.trigger("j-1", **{**BODY, "size": "13"})
    assert value("triggers_total", provider="myipr", answer="conflict") == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Unauthorized("HTTP 401"), "unauthorized"), (Busy("HTTP 429"), "busy"), (LostAnswer("none"), "unreachable")],
    ids=["key", "busy", "away"],
)
def test_a_pause_has_its_kind(stage: Stage, value: Value, error: Exception, kind: str) -> None:
    """Each begins at 0, so that the first one is seen as a rise."""
    assert value("pauses_total", provider="myipr", kind=kind) == 0
    stage.script.says("observe", error)
    stage.trigger()
    stage.until(lambda job: job.polls > 0)
    assert value("pauses_total", provider="myipr", kind=kind) == 1


def test_files_and_their_bytes(stage: Stage, value: Value) -> None:
    """What was stored as promised."""
    stage.script.says("observe", _ready())
    stage.script.says("download", FILE)
    stage.trigger()
    stage.finish()
    assert value("files_fetched_total", provider="myipr") == 1
    assert value("fetched_bytes_total", provider="myipr") == len(FILE)
    assert value("files_mismatched_total", provider="myipr", kind="digest_mismatch") == 0


def test_each_fetch_of_a_wrong_file_is_counted_once(stage: Stage, value: Value) -> None:
    """A closed gate in between puts the job back with its old failure: that is no other file."""
    stage.script.says("observe", _ready(sha256="0" * 64))
    stage.script.says("download", FILE)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.FETCHING and job.attempts == 1)
    stage.clock.advance(5)
    claim = stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr")).claims[0]
    stage.run.ledger.pause("myipr", 5.0)
    stage.app.tasks["settle.fetch"].apply(args=["j-1"], kwargs={"seqs": [claim.seq]})
    assert value("files_mismatched_total", provider="myipr", kind="digest_mismatch") == 1
    stage.finish()
    tries = stage.run.settings.fetch_attempts
    assert value("files_mismatched_total", provider="myipr", kind="digest_mismatch") == tries
    assert value("files_fetched_total", provider="myipr") is None


def test_a_lost_claim(stage: Stage, value: Value, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else moved the job in between."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    monkeypatch.setattr(stage.run.ledger, "write", lambda moves: [None] * len(moves))
    stage.clock.advance(60)
    stage.tick()
    assert value("claims_lost_total", provider="myipr", state="polling") == 1


class _Timer:
    def call_after(self, *_: Any) -> None:
        return None


class _Consumer:
    timer = _Timer()


@pytest.mark.parametrize("error", [None, OSError("away"), RuntimeError("a defect")], ids=["fine", "away", "defect"])
def test_each_look_is_counted_and_those_that_failed(value: Value, error: Exception | None) -> None:
    """The clock is one; a clock that only fails is no clock."""

    class Looking(Repeating):
        what = "clock"

        def look(self) -> float:
            if error:
                raise error
            return 1.0

    step = Looking(_Consumer())
    step._look(_Consumer())
    assert value("looks_total", what="clock") == 1
    assert value("looks_failed_total", what="clock") == (1 if error else 0)


def test_requests_are_kept_until_their_bundle_is_written(stage: Stage, value: Value) -> None:
    """One write for many of them; none is lost, none is told twice."""
    labels = {"provider": "myipr", "method": "GET", "what": "call", "result": "2xx"}
    for seconds in (0.02, 0.2, 2.0):
        metrics.requested(*labels.values(), seconds)
    assert value("request_seconds_count", **labels) is None
    metrics.moved([], [])
    metrics.moved([], [])
    assert value("request_seconds_count", **labels) == 3
    assert value("request_seconds_sum", **labels) == pytest.approx(2.22)
    assert value("request_seconds_bucket", **labels, le="0.25") == 2


def test_what_cannot_be_counted_stops_no_job(
    stage: Stage, value: Value, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder of the counts is gone, say: the job goes its way, and the log says it once."""

    def broken(*_: object, **__: object) -> None:
        raise FileNotFoundError

    for name in ("add", "add_all", "observe"):
        monkeypatch.setattr(metrics._counts, name, broken)
    monkeypatch.setattr(metrics, "_told", False)
    stage.script.says("observe", RUNNING, DONE)
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert [record.message for record in caplog.records].count("not_counted") == 1


def test_nothing_is_counted_unless_it_is_wanted(stage: Stage) -> None:
    """No port, no counts: a bundle carries no times, and no request is watched."""
    stage.trigger()
    stage.finish()
    metrics.requested("myipr", "GET", "call", "2xx", 1.0)
    assert metrics.dues(()) is None
    assert not metrics._requests


_FORKS = """
import os, sys, pathlib
from prometheus_client import CollectorRegistry
from config import metrics
registry = CollectorRegistry()
metrics.enable(pathlib.Path(sys.argv[1])).register(registry)
metrics.looked("clock")
if os.fork() == 0:
    metrics.looked("clock")
    os._exit(0)
os.wait()
print(registry.get_sample_value("settle_looks_total", {"what": "clock"}))
"""


def test_a_count_of_a_child_is_one_of_the_worker(tmp_path: Path) -> None:
    """A forked process counts into files of its own; whoever reads the folder adds them up, also when it is gone."""
    done = subprocess.run([sys.executable, "-c", _FORKS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2.0"
