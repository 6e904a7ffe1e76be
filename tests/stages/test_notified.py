"""A provider's news in the life of a job: early, lost, doubled or untrue, it only moves the next look."""

from __future__ import annotations

import pytest

from jobs.states import JobState
from providers.base import Located
from providers.errors import LostAnswer
from providers.myipr import MyIPR
from providers.standard_webhooks import StandardWebhook
from tasks.announce import Announcer
from workflows import acts

from .conftest import DONE, RUNNING, Stage


@pytest.fixture
def told_by_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider whose notifications know nothing but its own names."""
    monkeypatch.setattr(MyIPR, "notification", StandardWebhook(remote="id"))


def _polled(stage: Stage) -> None:
    stage.script.says("observe", RUNNING, RUNNING, DONE)
    stage.trigger()
    stage.until(lambda job: job.polls == 1)


def test_a_look_that_was_brought_forward_decides_itself(stage: Stage) -> None:
    """It finds the job running, and the countdown goes on; the history knows nothing of the news."""
    _polled(stage)
    assert stage.run.ledger.hasten("myipr", ["j-1"], 2.0) == 1
    stage.tick()
    job = stage.job()
    assert (job.state, job.polls) == (JobState.POLLING, 2)
    assert job.due_at is not None
    assert job.due_at > stage.clock.now() + 1
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.history() == ["accepted", "submitting", "polling", "succeeded"]


def test_without_any_news_the_end_is_the_same(stage: Stage) -> None:
    """A notification that is lost costs nothing but the countdown."""
    _polled(stage)
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 1


def test_news_of_a_job_that_is_not_there_yet(stage: Stage) -> None:
    """Before the trigger, before the submission, and in doubt: nothing changes, and nothing is sent for it."""
    ledger = stage.run.ledger
    assert ledger.hasten("myipr", ["j-1"], 2.0) == 0
    stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    assert ledger.hasten("myipr", ["j-1"], 2.0) == 0
    stage.until(lambda job: job.state is JobState.IN_DOUBT)
    before = stage.job()
    assert ledger.hasten("myipr", ["j-1"], 2.0) == 0
    assert stage.job() == before
    assert (stage.script.count("submit"), stage.script.count("observe")) == (1, 0)


@pytest.mark.usefixtures("told_by_its_names")
def test_the_receipt_tells_whose_name_it_is(stage: Stage) -> None:
    """Kept from the moment it is polled; so is one that was found again after its answer was lost."""
    _polled(stage)
    stage.script.says("submit", LostAnswer("no answer"))
    stage.script.says("locate", Located(receipt={"remote_id": "r-2"}))
    stage.trigger("j-2")
    stage.until(lambda job: job.state is JobState.POLLING, "j-2")
    assert stage.run.ledger.of_handles("myipr", ["r-1", "r-2", "j-1"]) == ["j-1", "j-2"]


@pytest.mark.usefixtures("told_by_its_names")
def test_a_person_tells_whose_name_it_is(stage: Stage) -> None:
    """`settle resolve --remote-id` ends a doubt, and the name counts from then on."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    stage.until(lambda job: job.state is JobState.IN_DOUBT)
    announcer = Announcer(stage.app, "test")
    acts.change(stage.run, announcer, "j-1", acts.resolving("r-9", resubmit=False))
    assert stage.run.ledger.of_handles("myipr", ["r-9"]) == ["j-1"]


@pytest.mark.parametrize("notification", [None, StandardWebhook(job="id")], ids=["none", "our-names"])
def test_nothing_is_kept_for_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, notification: StandardWebhook | None
) -> None:
    """A provider without a notification, or with one that knows our ids, costs no memory."""
    monkeypatch.setattr(MyIPR, "notification", notification)
    _polled(stage)
    assert stage.run.ledger.of_handles("myipr", ["r-1"]) == []
