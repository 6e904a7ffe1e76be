"""Looks that are planned by how long finished jobs took, from the first job to the plan."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import made_of
from jobs.learning import EDGES, scout
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.errors import LostAnswer

from .conftest import DONE, RUNNING, Stage

SECONDS = 60.0
JOBS = [f"l-{number}" for number in range(400) if not scout(f"l-{number}")]


@pytest.fixture
def minting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A provider whose jobs take a minute, each."""

    async def observe(job: Any) -> Observation:
        stage.script.calls.append(("observe", job.id))
        return DONE if stage.clock.now() - job.submitted_at >= SECONDS else RUNNING

    monkeypatch.setattr(stage.script, "observe", observe)
    return stage


def _run(stage: Stage, ids: list[str]) -> tuple[float, float]:
    """Polls per job and mean delay."""
    polls, late = 0, 0.0
    for job_id in ids:
        stage.trigger(job_id)
        job = stage.finish(job_id)
        assert job.submitted_at is not None
        polls += job.polls
        late += job.updated_at - job.submitted_at - SECONDS
    return polls / len(ids), late / len(ids)


def _settings(stage: Stage, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    own = {"base_url": "http://127.0.0.1:9", "api_key": "a-key", **changes}
    monkeypatch.setattr(stage.run, "settings", made_of(myipr=own, redis_url="redis://nowhere"))


def test_after_enough_jobs_looks_go_where_jobs_end(minting: Stage) -> None:
    """Fewer polls, and less delay, than the growing countdown."""
    before = _run(minting, JOBS[:60])
    minting.clock.advance(61)
    _run(minting, JOBS[60:120])
    after = _run(minting, JOBS[120:150])
    assert before[0] > 7
    assert after[0] < 0.75 * before[0]
    assert after[1] < before[1]
    assert after[1] < 3


def test_it_can_be_switched_off(minting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is learnt, and nothing of what was learnt counts."""
    _run(minting, JOBS[:40])
    learnt = minting.run.ledger.learnt("myipr")
    assert list(learnt) == ["myipr.certify"]
    _settings(minting, monkeypatch, poll_learn=False)
    minting.clock.advance(61)
    assert _run(minting, JOBS[40:60])[0] > 7
    assert minting.run.ledger.learnt("myipr") == learnt


def test_the_delay_is_a_setting(minting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants to know sooner pays with polls."""
    _run(minting, JOBS[:60])
    figures = []
    for number, delay in enumerate((6.0, 0.5)):
        _settings(minting, monkeypatch, poll_delay=delay, poll_minimum=0.5, poll_first=0.5)
        minting.clock.advance(61)
        _run(minting, JOBS[60 + 30 * number : 70 + 30 * number])
        minting.clock.advance(61)
        figures.append(_run(minting, JOBS[70 + 30 * number : 90 + 30 * number]))
    assert figures[1][1] < figures[0][1]
    assert figures[1][0] > figures[0][0]


def test_a_failed_job_teaches_too_and_a_lost_answer_nothing(stage: Stage) -> None:
    """The provider's end counts, whatever it is; when a job ended behind an outage, nobody knows."""
    stage.script.says("observe", Observation(Verdict.FAILED, word="failed"))
    stage.trigger("f-1")
    assert stage.finish("f-1").state is JobState.FAILED
    assert sum(stage.run.ledger.learnt("myipr")["myipr.certify"].values()) == pytest.approx(1)
    stage.script.says("observe", RUNNING, LostAnswer("no answer"), DONE)
    stage.trigger("f-2")
    assert stage.finish("f-2").state is JobState.SUCCEEDED
    assert sum(stage.run.ledger.learnt("myipr")["myipr.certify"].values()) == pytest.approx(1)


def test_what_is_learnt_lies_between_two_looks(stage: Stage) -> None:
    """From the last one that found it running to the one that found it done."""
    stage.script.says("observe", RUNNING, RUNNING, DONE)
    stage.trigger()
    job = stage.until(lambda job: job.polls == 2)
    assert job.submitted_at is not None
    after = stage.clock.now() - job.submitted_at
    done = stage.finish()
    by = done.updated_at - job.submitted_at
    counted = stage.run.ledger.learnt("myipr")["myipr.certify"]
    assert all(
        EDGES[place] >= after and (place == 0 or EDGES[place - 1] <= by) for place, share in counted.items() if share
    )
