"""What the stages do while a provider is away, busy or refuses the key: jobs wait, and one of them probes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jobs.states import JobState, Wish
from providers.base import Located, Observation
from providers.errors import (
    BadAnswer,
    Busy,
    LostAnswer,
    NotFound,
    NotSent,
    PermanentError,
    Unauthorized,
    Unavailable,
)

from .conftest import DONE, RUNNING, Stage
from .trouble import FILE, READY


@pytest.mark.parametrize(
    "error",
    [NotSent("x"), LostAnswer("x"), Unavailable("x"), BadAnswer("x"), Busy("x"), Unauthorized("x"), NotFound("x"),
     PermanentError("x"), KeyError("a defect of ours")],
)  # fmt: skip
def test_trouble_while_polling_costs_time_not_the_job(stage: Stage, error: Exception) -> None:
    """Whatever goes wrong in a poll, the job is looked at again."""
    stage.script.says("observe", RUNNING, *[error] * 5, DONE)
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.failure is None


def test_one_broken_job_does_not_stop_the_others_of_its_bundle(stage: Stage) -> None:
    """An exception nobody thought of concerns one job only."""
    for number in range(5):
        stage.trigger(f"j-{number}")
    stage.tick()
    stage.script.says("observe", RecursionError("deep"), DONE)
    stage.clock.advance(10)
    stage.tick()
    states = sorted(stage.job(f"j-{number}").state.value for number in range(5))
    assert states == ["polling", "succeeded", "succeeded", "succeeded", "succeeded"]


def test_retry_after_pauses_the_provider_for_all_jobs_and_no_other_provider(stage: Stage) -> None:
    """One answer with Retry-After closes that provider's gate for as long as it asked."""
    stage.trigger("j-1")
    stage.trigger("j-2")
    stage.tick()
    stage.script.says("observe", Busy("HTTP 429", retry_after=120.0), RUNNING)
    stage.clock.advance(5)
    stage.tick()
    polls = stage.script.count("observe")
    stage.clock.advance(60)
    stage.tick()
    assert stage.script.count("observe") == polls
    assert stage.run.ledger.paused_until("unique_tokens") == 0
    stage.clock.advance(61)
    stage.tick()
    assert stage.script.count("observe") > polls


def test_retry_after_is_heeded_before_the_bundle_is_through(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other workers stop at once, not when the slowest neighbour of that one answer has been heard."""
    for number in range(3):
        stage.trigger(f"j-{number}")
    stage.tick()
    closed: list[float] = []

    async def observe(job: Any) -> Observation:
        if job.id == "j-0":
            raise Busy("HTTP 429", retry_after=30.0)
        end = time.monotonic() + 10
        while not stage.run.ledger.paused_until("myipr") and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        closed.append(stage.run.ledger.paused_until("myipr"))
        return RUNNING

    monkeypatch.setattr(stage.script, "observe", observe)
    stage.clock.advance(5)
    now = stage.clock.now()
    stage.tick()
    assert closed == [now + 30.0] * 2
    assert stage.run.ledger.paused_until("myipr") == now + 30.0


@pytest.mark.parametrize("name", ["submit", "poll"])
def test_a_bundle_that_finds_the_gate_closed_goes_back(stage: Stage, name: str) -> None:
    """It was claimed before another worker heard `Retry-After`: nobody is called, and nothing is lost."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    if name == "poll":
        stage.until(lambda job: job.state is JobState.POLLING)
        stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    calls, before = list(stage.script.calls), stage.job()
    until = stage.run.ledger.pause("myipr", 50.0)
    stage.app.tasks[f"settle.{name}"].apply(args=("j-1",), kwargs={"seqs": [before.seq]})
    assert stage.script.calls == calls
    assert (stage.job().state, stage.job().due_at) == (before.state, until)
    stage.script.says("observe", DONE)
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_fetch_that_finds_the_gate_closed_goes_back(stage: Stage) -> None:
    """Also what comes by its chain, past the claim."""
    stage.script.says("observe", Busy("HTTP 503", retry_after=40.0), READY)
    stage.script.says("download", FILE)
    for name in ("j-1", "j-2"):
        stage.trigger(name)
    stage.tick()
    stage.clock.advance(5)
    stage.tick()  # one is turned away, the other one is ready, and its chain goes on at once
    states = sorted(stage.job(name).state for name in ("j-1", "j-2"))
    assert states == [JobState.FETCHING, JobState.POLLING]
    assert stage.script.count("download") == 0
    assert stage.finish("j-1").state is stage.finish("j-2").state is JobState.SUCCEEDED


def test_an_outage_is_probed_by_one_job_at_a_time(stage: Stage) -> None:
    """Forty jobs meet an outage: then one call for each pause, each longer, until one is answered."""
    for number in range(40):
        stage.trigger(f"j-{number}")
    stage.tick()
    stage.script.says("observe", *[LostAnswer("no answer")] * 45, RUNNING)
    stage.clock.advance(5)
    stage.tick()
    assert stage.script.count("observe") == 40
    calls, pauses = [], []
    stage.clock.advance(60)  # all are due again, and the first pause is over
    for _ in range(5):
        before = stage.script.count("observe")
        for _ in range(3):
            stage.tick()
        calls.append(stage.script.count("observe") - before)
        opens = stage.run.ledger.paused_until("myipr")
        pauses.append(round(opens - stage.clock.now()))
        stage.clock.advance(opens - stage.clock.now())
    assert (calls, pauses) == ([1] * 5, [2, 4, 8, 16, 32])
    before = stage.script.count("observe")
    stage.tick()
    stage.tick()
    assert stage.script.count("observe") - before > 30


def test_a_doubt_is_a_probe_too(stage: Stage) -> None:
    """The only job there is is in doubt: asking for it tells that the provider is back."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.script.says("locate", LostAnswer("no answer"), Located(receipt={"remote_id": "r-7"}))
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    assert stage.script.count("locate") == 2
    for number in range(5):
        stage.trigger(f"k-{number}")
    stage.script.says("submit", {"remote_id": "r-8"})
    stage.tick()
    assert stage.script.count("submit") == 2, "the look-up does not tell that submissions are answered again"
    for number in range(5):
        stage.until(lambda job: job.state is JobState.POLLING, f"k-{number}")
    assert stage.script.count("submit") == 6


def test_a_cancelled_probe_makes_way(stage: Stage) -> None:
    """It asks nobody, so the next job is the probe, at once."""
    stage.trigger("j-1")
    stage.trigger("j-2")
    job = stage.job("j-1")
    stage.run.ledger.write([job.stay(now=stage.clock.now(), due_at=stage.clock.now() - 1, wish=Wish.CANCEL)])
    stage.clock.advance(stage.run.ledger.pause("myipr") - stage.clock.now())
    stage.tick()
    stage.tick()
    assert stage.job("j-1").state is JobState.CANCELLED
    assert stage.job("j-2").state is JobState.POLLING


def test_a_wrong_key_stops_the_provider_longer_and_longer(stage: Stage) -> None:
    """401 pauses the provider, each time longer, and fails no job."""
    stage.script.says("observe", Unauthorized("HTTP 401"))
    stage.trigger()
    stage.tick()
    pauses = []
    for _ in range(5):
        stage.clock.advance(max(stage.job().due_at or 0, stage.run.ledger.paused_until("myipr")) - stage.clock.now())
        stage.tick()
        pauses.append(stage.run.ledger.paused_until("myipr") - stage.clock.now())
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert stage.job().state is JobState.POLLING
