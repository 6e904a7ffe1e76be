"""What `settle restored` makes of a job in each state, and what may follow from that."""

from __future__ import annotations

import pytest

from jobs.record import Job
from jobs.states import JobState, Wish
from providers.base import Located
from providers.errors import LostAnswer
from tasks.announce import Announcer
from workflows.command import control, restored

from .conftest import BODY, RUNNING, Stage


def _restore(stage: Stage, job_id: str = "j-1") -> tuple[str, Job]:
    fate = restored.doubt(stage.run, Announcer(stage.app, "person"), stage.job(job_id))
    return fate, stage.job(job_id)


@pytest.fixture(params=["accepted", "in_doubt"])
def unsent(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """A job that the copy shows before its receipt."""
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-2"})
    stage.trigger()
    if request.param == "in_doubt":
        stage.until(lambda job: job.state is JobState.IN_DOUBT)
    return stage


def test_a_job_that_the_provider_can_be_asked_for_is_asked_first(unsent: Stage) -> None:
    """Found: adopted. The request is not sent by then."""
    unsent.script.asks_without_ledger = True  # type: ignore[misc]
    before = unsent.script.count("submit")
    fate, job = _restore(unsent)
    assert (fate, job.state, job.wish) == (restored.ASKED, JobState.IN_DOUBT, None)
    unsent.script.says("locate", Located(receipt={"remote_id": "r-9"}))
    assert unsent.finish().outcome()["remote_id"] == "r-9"
    assert unsent.script.count("submit") == before


def test_another_job_waits_for_a_person_until_its_deadline(unsent: Stage) -> None:
    """Even if the provider would say that it has nothing: what it is asked with may not be what was sent."""
    unsent.script.says("locate", Located(absent=True))
    before = unsent.script.count("submit")
    fate, job = _restore(unsent)
    assert (fate, job.state, job.wish, job.due_at) == (
        restored.PERSON, JobState.IN_DOUBT, Wish.PAUSE, job.deadline_at,
    )  # fmt: skip
    assert unsent.finish().state is JobState.EXPIRED
    assert unsent.script.count("submit") == before


@pytest.mark.parametrize("resubmit", [True, False])
def test_a_person_ends_the_wait(unsent: Stage, resubmit: bool) -> None:
    """Sent again, or found under this id; the pause is over with that."""
    _restore(unsent)
    unsent.script.says("submit", {"remote_id": "r-7"})
    before = unsent.script.count("submit")
    decide = control.resolving(None if resubmit else "r-7", resubmit=resubmit)
    control.change(unsent.run, Announcer(unsent.app, "person"), "j-1", decide)
    job = unsent.finish()
    assert (job.state, job.wish, job.outcome()["remote_id"]) == (JobState.SUCCEEDED, None, "r-7")
    assert unsent.script.count("submit") == before + resubmit


def test_a_job_whose_file_is_to_be_hashed_waits_for_a_person(stage: Stage) -> None:
    """Its name may follow from a hash that this ledger does not know."""
    stage.script.asks_without_ledger, stage.script.source = True, "name"  # type: ignore[misc]
    stage.trigger()
    assert _restore(stage)[0] == restored.PERSON


def test_a_job_at_the_provider_goes_on_unless_something_follows(stage: Stage) -> None:
    """A look changes nothing there; a link may have been started since."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.trigger("j-2", **BODY, then=[{"workflow": "myipr.certify", "kwargs": BODY}])
    for job_id in ("j-1", "j-2"):
        stage.until(lambda job: job.state is JobState.POLLING, job_id)
    before = stage.job()
    assert _restore(stage) == (restored.GOES_ON, before)
    fate, job = _restore(stage, "j-2")
    assert (fate, job.state, job.wish, job.due_at) == (restored.PAUSED, JobState.POLLING, Wish.PAUSE, job.deadline_at)


def test_a_job_that_is_to_be_cancelled_is_left_alone(stage: Stage) -> None:
    """It ends at its next stage, unsent."""
    stage.trigger()
    control.change(stage.run, Announcer(stage.app, "person"), "j-1", control.cancelling)
    assert _restore(stage)[0] == restored.GOES_ON
    assert stage.finish().state is JobState.CANCELLED
    assert stage.script.count("submit") == 0
