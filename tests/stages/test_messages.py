"""What the stages do about messages that come twice, late or never: they do nothing twice, and lose nothing."""

from __future__ import annotations

import pytest

from jobs.errors import SettleError
from jobs.record import Job
from jobs.states import JobState
from providers.errors import (
    Unavailable,
)

from .conftest import RUNNING, Stage
from .trouble import FILE, READY


def test_a_doubled_poll_message_does_nothing(stage: Stage) -> None:
    """The second copy finds another seq."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    seq = stage.job().seq
    poll = stage.app.tasks["settle.poll"]
    poll.apply(args=("j-1",), kwargs={"seqs": [seq]})
    poll.apply(args=("j-1",), kwargs={"seqs": [seq]})
    assert stage.script.count("observe") == 1


def test_a_doubled_submit_message_sends_once(stage: Stage) -> None:
    """Two copies of one claim: one POST."""
    stage.trigger()
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    seq = stage.job().seq
    for _ in range(2):
        stage.app.tasks["settle.submit"].apply(args=("j-1",), kwargs={"seqs": [seq]})
    assert stage.script.count("submit") == 1


def test_a_record_that_cannot_be_read_holds_up_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer version wrote it: it is left to its lease, and what was claimed with it goes on."""
    stage.script.says("observe", READY)
    stage.script.says("download", Unavailable("HTTP 500"))
    stage.trigger("newer")
    stage.until(lambda job: job.state is JobState.FETCHING, "newer")
    stage.trigger("other")
    get = stage.run.ledger.get

    def reading(job_id: str) -> Job:
        if job_id == "newer":
            raise SettleError("its record has version 99")
        return get(job_id)

    monkeypatch.setattr(stage.run.ledger, "get", reading)
    stage.clock.advance(120)
    stage.tick()
    assert stage.job("other").state is JobState.POLLING


@pytest.mark.parametrize("name", ["submit", "poll", "fetch", "verify", "emit"])
def test_every_stage_run_after_the_end_does_nothing(stage: Stage, name: str) -> None:
    """Each stage begins with "already done?"."""
    stage.script.says("observe", READY)
    stage.script.says("download", FILE)
    stage.trigger()
    before = stage.finish()
    calls = len(stage.script.calls)
    stage.app.tasks[f"settle.{name}"].apply(args=("j-1",))
    assert stage.job() == before
    assert len(stage.script.calls) == calls


def test_a_lost_message_only_costs_the_lease(stage: Stage) -> None:
    """The clock claimed, the message vanished: after the lease the job is claimed again."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    stage.tick()
    assert stage.script.count("observe") == 0
    stage.clock.advance(stage.run.settings.lease)
    stage.tick()
    assert stage.script.count("observe") == 1


def test_a_lost_chain_is_brought_back_at_its_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the chain vanished with its broker: the ledger publishes it again."""
    lost: list[str] = []
    with monkeypatch.context() as broken:
        broken.setattr("tasks.poll.send_on", lambda run, jobs: lost.extend(job.id for job in jobs))
        stage.script.says("observe", READY)
        stage.script.says("download", FILE)
        stage.trigger()
        stage.until(lambda job: job.state is JobState.FETCHING)
    assert lost == ["j-1"]
    assert stage.finish().state is JobState.SUCCEEDED
