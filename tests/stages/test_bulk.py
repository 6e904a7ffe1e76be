"""Many jobs in one call: all are looked at before one is recorded, and the call may be made again."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from jobs.errors import InvalidJob, JobNotFound
from jobs.ledger import Acceptance
from jobs.states import JobState
from workflows.bulk import submit_many

from .conftest import BODY, Stage


@pytest.fixture(autouse=True)
def _wired(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application that the call finds."""
    monkeypatch.setitem(sys.modules, "config.celery_app", SimpleNamespace(app=stage.app))


def test_many_jobs_are_recorded_and_end(stage: Stage) -> None:
    """More than go in one round trip, each with its own options."""
    requests = {f"j-{number}": {**BODY, "tags": {"n": str(number)}, "deadline": 60.0} for number in range(250)}
    answers = submit_many("myipr.certify", requests)
    assert answers == dict.fromkeys(requests, Acceptance.CREATED)
    assert stage.job("j-249").tags == {"n": "249"}
    assert stage.job("j-249").deadline_at == stage.clock.now() + 60
    assert stage.finish("j-7").state is JobState.SUCCEEDED


def test_a_repeated_call_adds_nothing(stage: Stage) -> None:
    """As after a call that broke off; an id that belongs to another request is told."""
    submit_many("settle.myipr.certify", {"j-1": BODY})
    again = submit_many("myipr.certify", {"j-1": BODY, "j-2": BODY})
    assert again == {"j-1": Acceptance.SAME, "j-2": Acceptance.CREATED}
    assert submit_many("myipr.certify", {"j-1": {**BODY, "size": "13"}}) == {"j-1": Acceptance.CONFLICT}


@pytest.mark.parametrize(
    ("job_id", "request_", "named"),
    [("bad", {**BODY, "size": None}, "bad: size"), ("bad id", BODY, "id: use"), ("bad", {**BODY, "tags": 7}, "tags")],
    ids=["field", "id", "option"],
)
def test_one_bad_request_keeps_all_out(stage: Stage, job_id: str, request_: dict[str, object], named: str) -> None:
    """The message names the job and the field, and no value."""
    with pytest.raises(InvalidJob, match=named):
        submit_many("myipr.certify", {**{f"j-{number}": BODY for number in range(150)}, job_id: request_})
    with pytest.raises(JobNotFound):
        stage.job("j-1")


def test_an_unknown_workflow_is_refused() -> None:
    """The names that there are stand in the message."""
    with pytest.raises(InvalidJob, match=r"myipr\.certify"):
        submit_many("myipr.no_such", {"j-1": BODY})
