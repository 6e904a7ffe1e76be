"""Triggers that can never work are refused by name, and one trigger is one job."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from jobs.errors import RecordTooNew
from jobs.states import JobState

from .conftest import BODY, Stage


def test_a_bad_body_ends_at_once_and_is_never_sent(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The field is named, the value quoted nowhere."""
    with caplog.at_level(logging.DEBUG):
        stage.trigger(name="a", category_id="10", hash="private-value", size="12")
    job = stage.job()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.message.startswith("hash: ")
    assert "private-value" not in caplog.text + str(job)
    stage.tick()
    assert stage.script.calls == []


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"deadline": -1}, "deadline"),
        ({"tags": {"a": 1}}, "tags.a"),
        ({"colour": "x"}, "colour"),
        ({"tags": "x"}, "tags"),
    ],
)
def test_bad_options_are_named(stage: Stage, extra: dict[str, Any], named: str) -> None:
    """Options and unknown arguments are checked like the body."""
    stage.trigger(**{**BODY, **extra})
    failure = stage.job().failure
    assert failure is not None
    assert named in failure.message


def test_the_same_trigger_twice_is_one_job(stage: Stage) -> None:
    """The id is the idempotency key."""
    stage.trigger()
    first = stage.job()
    stage.trigger()
    assert stage.job() == first
    stage.finish()
    stage.trigger()
    assert stage.script.count("submit") == 1


def test_the_same_id_with_another_body_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The first job stays as it is, and the refusal is logged."""
    stage.trigger()
    first = stage.job()
    with caplog.at_level(logging.ERROR):
        stage.trigger(**{**BODY, "size": "13"})
    assert stage.job() == first
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_the_same_id_at_another_provider_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """An id belongs to one job of one provider."""
    stage.trigger()
    with caplog.at_level(logging.ERROR):
        stage.trigger(workflow="lettrlabs.delete", id=7)
    assert stage.job().provider == "myipr"
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_a_job_that_needs_one_of_a_newer_version_waits_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of that version may read it; the rest of the bundle goes on."""
    known = stage.script.intent

    def intent(request: Any, job_id: str) -> dict[str, Any]:
        if job_id == "j-1":
            raise RecordTooNew("job j-0: its record has version 9")
        return known(request, job_id)

    with monkeypatch.context() as patched:
        patched.setattr(stage.script, "intent", intent)
        for job_id in ("j-1", "j-2"):
            stage.trigger(job_id)
        stage.until(lambda job: job.finished, "j-2")
        job = stage.job("j-1")
        assert (job.state, job.failure and job.failure.kind) == (JobState.ACCEPTED, "record_too_new")
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_provider_that_is_not_configured_refuses_its_jobs(stage: Stage) -> None:
    """The message names the missing variables; the other providers work."""
    stage.trigger("d-1", workflow="lettrlabs.delete", id=7)
    failure = stage.job("d-1").failure
    assert failure is not None
    assert "SETTLE_LETTRLABS__BASE_URL" in failure.message
    assert "SETTLE_LETTRLABS__API_KEY" in failure.message
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED


def test_an_id_that_cannot_stand_in_a_key_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is recorded under it, and the worker lives."""
    with caplog.at_level(logging.ERROR):
        stage.trigger("a b\n")
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_a_refusal_says_what_the_field_is_for(stage: Stage) -> None:
    """The field, the rule it breaks, and its meaning, also inside a list of models."""
    stage.trigger(**{**BODY, "hash": "x", "deadline": -1})
    failure = stage.job().failure
    assert failure is not None
    assert "the SHA-256 of the file, as 64 hexadecimal digits" in failure.message
    assert "seconds from the trigger" in failure.message
    stage.trigger("t-1", workflow="unique_tokens.produce", alphabet="A", digits=5, size=1000, payment={"id": "a"})
    failure = stage.job("t-1").failure
    assert failure is not None
    assert "payment.ident: Field required (payment intent)" in failure.message
