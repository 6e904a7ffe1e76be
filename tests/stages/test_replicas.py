"""Behind Sentinel no request leaves before its intent is on a replica."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest

from jobs.record import Job
from jobs.redis_records import RecordsInRedis
from jobs.states import JobState

from .conftest import Stage


@pytest.fixture
def answers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> deque[bool]:
    """What the ledger says of its replicas, one answer after the other; asked for behind Sentinel only."""
    said: deque[bool] = deque()

    def copied(jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        assert replicas == 1
        assert {job.state for job in jobs} == {JobState.SUBMITTING}
        answer = said.popleft()
        return [answer for _ in jobs]

    monkeypatch.setattr(stage.run.ledger, "copied", copied)
    settings = stage.run.settings.model_copy(update={"redis_replicas": 1})
    monkeypatch.setattr(stage.run, "settings", settings)
    return said


def test_a_job_waits_until_its_intent_is_copied(stage: Stage, answers: deque[bool]) -> None:
    """Nothing is sent meanwhile, and nobody is in doubt."""
    answers.extend([False, False, True])
    stage.trigger()
    job = stage.until(lambda job: job.attempts == 2)
    assert (job.state, job.failure.kind) == (JobState.ACCEPTED, "replicas")  # type: ignore[union-attr]
    assert stage.script.calls == []
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert (stage.script.count("submit"), stage.script.count("locate")) == (1, 0)
    assert not answers


def test_without_replicas_nobody_asks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One server alone: no round trip more than before."""
    monkeypatch.delattr(RecordsInRedis, "copied")
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
