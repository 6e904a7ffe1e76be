"""What the stages do about a submission that may or may not have arrived: it is never sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.states import JobState
from providers.base import Located
from providers.errors import (
    BadAnswer,
    Deferred,
    LostAnswer,
    NotSent,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
)
from tasks import submit as submitting

from .conftest import Stage


@pytest.mark.parametrize("error", [NotSent("no connection"), Deferred("HTTP 429"), Unauthorized("HTTP 401")])
def test_a_submission_that_was_not_carried_out_is_sent_again(stage: Stage, error: ProviderError) -> None:
    """It never left, or was turned away unread: the job waits and is sent again."""
    stage.script.says("submit", error, error, {"remote_id": "r-1"})
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 3
    assert stage.script.count("locate") == 0


@pytest.mark.parametrize("error", [LostAnswer("no answer"), Unavailable("HTTP 500"), BadAnswer("rubbish")])
def test_a_submission_in_doubt_is_asked_for_and_adopted(stage: Stage, error: ProviderError) -> None:
    """The answer was lost, the provider has the job: it is never told twice."""
    stage.script.says("submit", error)
    stage.script.says("locate", Located(), Located(receipt={"remote_id": "r-7"}))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert "in_doubt" in stage.history()
    assert stage.script.count("submit") == 1
    assert job.outcome()["remote_id"] == "r-7"


def test_a_submission_that_certainly_is_absent_is_sent_once_more(stage: Stage) -> None:
    """Only the provider's own word that it has nothing lets us send again."""
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-1"})
    stage.script.says("locate", Located(absent=True))
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 2
    assert stage.history().count("in_doubt") == 1


def test_a_submission_that_never_arrived_and_never_can_fails(stage: Stage) -> None:
    """The provider's own rules forbid sending it now: the caller is told, and nothing is sent again."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.script.says("locate", Located(), Located(gone="too old: sign it anew"))
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "never_arrived")
    assert stage.script.count("submit") == 1


def test_a_doubt_that_nobody_settles_expires(stage: Stage) -> None:
    """It is asked for ever more rarely, never sent again, and ends at the deadline with the outcome unknown."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.EXPIRED
    assert stage.script.count("submit") == 1
    assert 3 < stage.script.count("locate") < 50


def test_a_job_found_at_submitting_after_a_crash_is_asked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker died between intent and receipt: whether it sent is unknown, so the provider is asked."""

    async def dies(*_: Any) -> None:
        raise MemoryError

    real = submitting._send_all
    monkeypatch.setattr(submitting, "_send_all", dies)
    stage.trigger()
    stage.tick()
    monkeypatch.setattr(submitting, "_send_all", real)
    assert stage.job().state is JobState.SUBMITTING
    stage.script.says("submit", {"remote_id": "again"})
    stage.script.says("locate", Located(receipt={"remote_id": "r-3"}))
    job = stage.finish()
    assert job.outcome()["remote_id"] == "r-3"
    assert stage.script.count("submit") == 0


def test_a_refusal_fails_the_job_with_the_reason(stage: Stage) -> None:
    """A permanent no is the end, with the provider's scrubbed words."""
    stage.script.says("submit", Refused("HTTP 422: category_id unknown", status=422))
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "refused")
    assert "category_id unknown" in job.failure.message


def test_an_intent_is_fresh_when_its_request_leaves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a neighbour in doubt takes nearly a lease; the other job's own lease begins after that."""
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-2"})
    stage.trigger("j-1")
    stage.until(lambda job: job.state is JobState.IN_DOUBT)
    stage.run.ledger.open_gate("myipr")  # or only one of them would be claimed
    stage.trigger("j-2")

    async def slow(request: object, intent: object) -> Located:
        stage.clock.advance(stage.run.settings.lease * 0.75)
        return Located()

    monkeypatch.setattr(stage.script, "locate", slow)
    stage.clock.advance((stage.job("j-1").due_at or 0) - stage.clock.now())
    before = stage.clock.now()
    due: list[float] = []
    real = submitting._send_all

    async def watched(run: Any, jobs: Any, announcer: Any) -> Any:
        due.extend(job.due_at - run.clock.now() for job in jobs)
        return await real(run, jobs, announcer)

    monkeypatch.setattr(submitting, "_send_all", watched)
    stage.tick()
    assert stage.clock.now() > before
    assert due == [pytest.approx(stage.run.settings.lease)]
    assert stage.job("j-2").state is JobState.POLLING


def test_a_process_that_stood_still_sends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen between intent and POST for longer than its lease: somebody else may be sending, so it does not."""
    stage.trigger()
    real = submitting._send_all

    async def frozen(run: Any, jobs: Any, announcer: Any) -> Any:
        stage.clock.advance(stage.run.settings.lease + 1)
        return await real(run, jobs, announcer)

    monkeypatch.setattr(submitting, "_send_all", frozen)
    stage.tick()
    assert stage.script.count("submit") == 0
    monkeypatch.setattr(submitting, "_send_all", real)
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 1
