"""What a person can do about a job: resolve, pause, resume, cancel, replay."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from jobs.artifacts import Artifact
from jobs.errors import IllegalMove
from jobs.record import Job, Move
from jobs.states import JobState, Wish
from providers.base import Observation, Verdict
from providers.errors import LostAnswer, NotFound, Unavailable
from tasks.announce import Announcer
from workflows.command import control

from .conftest import DONE, RUNNING, Stage

FILE = b"AAA\nBBB"
READY = Observation(
    Verdict.SUCCEEDED,
    word="completed",
    artifacts=(Artifact("tokens.txt", link="/data", size=7, lines=2, sha256=hashlib.sha256(FILE).hexdigest()),),
)


def _act(stage: Stage, decide: Callable[[Job, float], Move], job_id: str = "j-1") -> Job:
    return control.change(stage.run, Announcer(stage.app, "person"), job_id, decide)


def _in_doubt(stage: Stage) -> None:
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-2"})
    stage.trigger()
    stage.until(lambda job: job.state is JobState.IN_DOUBT)


def test_a_doubt_is_resolved_with_the_remote_id(stage: Stage) -> None:
    """The person found it at the provider: it is polled, and never sent again."""
    _in_doubt(stage)
    _act(stage, control.resolving("r-9", resubmit=False))
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.outcome()["remote_id"] == "r-9"
    assert stage.script.count("submit") == 1


def test_a_doubt_is_resolved_by_sending_again(stage: Stage) -> None:
    """The person saw that the provider has nothing: it is sent once more, without being asked for."""
    _in_doubt(stage)
    _act(stage, control.resolving(None, resubmit=True))
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.wish is None
    assert (stage.script.count("submit"), stage.script.count("locate")) == (2, 0)


def test_a_doubt_is_given_up(stage: Stage) -> None:
    """Failed, and said to be unknown."""
    _in_doubt(stage)
    job = _act(stage, control.resolving(None, resubmit=False))
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert "unknown" in job.failure.message
    assert stage.job().request is None


def test_only_a_doubt_can_be_resolved(stage: Stage) -> None:
    """A job that is polled already has its receipt."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    with pytest.raises(IllegalMove, match="not in doubt"):
        _act(stage, control.resolving("r-9", resubmit=False))


def test_a_paused_job_waits_and_goes_on_when_resumed(stage: Stage) -> None:
    """No poll while it is paused; resumed, it is polled at once."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.polls > 1)
    _act(stage, control.pausing)
    polls = stage.script.count("observe")
    stage.clock.advance(300)
    stage.tick()
    assert stage.script.count("observe") == polls
    stage.script.says("observe", DONE)
    _act(stage, control.resuming(stage.run, None))
    stage.tick()
    assert stage.job().state is JobState.SUCCEEDED


def test_a_paused_job_still_ends_at_its_deadline(stage: Stage) -> None:
    """Nobody resumed it: expired, like any other."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    _act(stage, control.pausing)
    assert stage.finish().state is JobState.EXPIRED


def test_pausing_takes_the_claim_from_whoever_holds_it(stage: Stage) -> None:
    """A poll that was under way cannot write any more, so it cannot reschedule the job."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    held = stage.job()
    _act(stage, control.pausing)
    assert stage.run.ledger.write([held.stay(now=stage.clock.now(), due_at=stage.clock.now())]) == [None]
    assert stage.job().wish is Wish.PAUSE


def test_an_expired_job_is_reopened_where_it_was(stage: Stage) -> None:
    """With a new deadline; the provider had finished it in the meantime. Sent once."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    assert stage.finish().state is JobState.EXPIRED
    stage.script.says("observe", DONE)
    reopened = _act(stage, control.resuming(stage.run, None))
    assert reopened.state is JobState.POLLING
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 1
    assert stage.history()[-3:] == ["expired", "polling", "succeeded"]


def test_an_expired_doubt_is_reopened_as_doubt(stage: Stage) -> None:
    """Its request was kept, so it can still be asked for."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    assert stage.finish().state is JobState.EXPIRED
    assert _act(stage, control.resuming(stage.run, 600.0)).state is JobState.IN_DOUBT
    _act(stage, control.resolving("r-9", resubmit=False))
    assert stage.finish().state is JobState.SUCCEEDED


@pytest.mark.parametrize("where", [JobState.ACCEPTED, JobState.IN_DOUBT, JobState.POLLING, JobState.FETCHING])
def test_a_job_is_cancelled_wherever_it_is(stage: Stage, where: JobState) -> None:
    """It ends at its next stage; a person who waits for it is told."""
    stage.script.says("observe", READY)
    stage.script.says("download", Unavailable("HTTP 500"))
    if where is JobState.IN_DOUBT:
        stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    stage.until(lambda job: job.state is where)
    _act(stage, control.cancelling)
    job = stage.finish()
    assert job.state is JobState.CANCELLED
    assert job.wish is None
    assert job.failure is not None


@pytest.mark.parametrize(
    ("answers", "said"),
    [([True], "cancelled"), ([False], "no way"), ([NotFound("HTTP 404")], "would not"), ([Unavailable("x"), True], "")],
)
def test_the_provider_is_told_of_a_cancellation(stage: Stage, answers: list[object], said: str) -> None:
    """Where it has a way; an outage delays it, a refusal is noted."""
    stage.script.says("observe", RUNNING)
    stage.script.says("cancel", *answers)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    _act(stage, control.cancelling)
    job = stage.finish()
    assert (job.state, stage.script.count("cancel")) == (JobState.CANCELLED, len(answers))
    assert job.failure is not None
    assert said in job.failure.message


def test_a_finished_job_cannot_be_cancelled_or_paused(stage: Stage) -> None:
    """It stays as it ended."""
    stage.trigger()
    before = stage.finish()
    for decide in (control.cancelling, control.pausing):
        with pytest.raises(IllegalMove, match="finished"):
            _act(stage, decide)
    assert stage.job() == before


def test_a_failed_file_is_fetched_again(stage: Stage) -> None:
    """Replayed after the provider mended its file: verified, and not submitted a second time."""
    stage.script.says("observe", READY)
    stage.script.says("download", b"wrong")
    stage.trigger()
    assert stage.finish().state is JobState.FAILED
    stage.script.says("download", FILE)
    assert _act(stage, control.replaying(stage.run)).state is JobState.FETCHING
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 1


def test_a_job_that_the_provider_failed_cannot_be_replayed(stage: Stage) -> None:
    """There is nothing to fetch."""
    stage.script.says("observe", Observation(Verdict.FAILED, word="failed"))
    stage.trigger()
    stage.finish()
    with pytest.raises(IllegalMove):
        _act(stage, control.replaying(stage.run))


def test_a_paused_provider_sends_nothing_until_it_is_resumed(stage: Stage) -> None:
    """New jobs are accepted and wait."""
    stage.run.ledger.pause("myipr", 1e8)
    stage.trigger()
    stage.clock.advance(900)
    stage.tick()
    assert stage.script.calls == []
    stage.run.ledger.open_gate("myipr")
    stage.tick()
    assert stage.script.count("submit") == 1
