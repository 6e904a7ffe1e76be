"""A provider says that there is news of a job: its next look comes sooner, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from jobs.clock import ManualClock
from jobs.ledger import Claim, Ledger
from jobs.record import Job
from jobs.states import UNFINISHED, JobState, Wish

NewJob = Callable[..., Job]
Take = Callable[..., list[Claim]]

POLLING = JobState.POLLING


@pytest.fixture
def waiting(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> Callable[..., Job]:
    """A job that is to be looked at in twenty seconds."""

    def make(job_id: str = "job-1", **changes: object) -> Job:
        ledger.accept(new_job(job_id, **{"state": POLLING, "due_at": clock.now() + 20, **changes}))
        return ledger.get(job_id)

    return make


def test_the_next_look_comes_at_once(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """The wake-up time changes; neither `seq` nor anything else of the record does, and no event tells of it."""
    before, events = waiting(), ledger.events("alpha")
    clock.advance(1)
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 1
    assert ledger.get("job-1") == replace(before, due_at=clock.now())
    assert ledger.events("alpha") == events
    assert [claim.id for claim in take()] == ["job-1"]


def test_a_job_that_is_due_is_left_alone(ledger: Ledger, waiting: NewJob, clock: ManualClock) -> None:
    """It keeps its place among those that are late already."""
    due = waiting().due_at
    clock.advance(25)
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 0
    assert ledger.get("job-1").due_at == due


@pytest.mark.parametrize("state", sorted(UNFINISHED - {POLLING}))
def test_only_a_job_that_is_polled(ledger: Ledger, waiting: NewJob, state: JobState) -> None:
    """Before its receipt is written, or once the provider is done, there is nothing to look at."""
    before = waiting(state=state)
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 0
    assert ledger.get("job-1") == before


def test_a_finished_or_unknown_job_is_left_alone(ledger: Ledger, failed_job: NewJob, take: Take) -> None:
    """Whoever knows an id that is none learns nothing, and makes nothing."""
    ledger.accept(failed_job())
    assert ledger.hasten("alpha", ["job-1", "nobody", ""], 2.0) == 0
    assert ledger.hasten("alpha", [], 2.0) == 0
    assert take() == []


def test_another_providers_job_is_left_alone(ledger: Ledger, waiting: NewJob) -> None:
    """A provider's word counts for its own jobs only."""
    before = waiting()
    assert ledger.hasten("beta", ["job-1"], 2.0) == 0
    assert ledger.get("job-1") == before


def test_a_paused_job_stays_paused(ledger: Ledger, waiting: NewJob) -> None:
    """A look would go on with it."""
    before = waiting(wish=Wish.PAUSE)
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 0
    assert ledger.get("job-1") == before


def _look(ledger: Ledger, claim: Claim, clock: ManualClock, **changes: object) -> Job:
    """One poll that finds the job running, with its next look in twenty seconds."""
    (job,) = ledger.begin("alpha", [(claim.id, claim.seq)], [POLLING], 30.0)
    (written,) = ledger.write([job.stay(now=clock.now(), due_at=clock.now() + 20, polls=job.polls + 1, **changes)])
    assert written is not None
    return ledger.get(claim.id)


def test_a_flood_makes_one_look_in_each_spacing(
    ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock
) -> None:
    """A hundred calls a second for ten seconds: with a spacing of two there are five looks, and one after the last."""
    waiting()
    looks = []
    for _ in range(1000):
        ledger.hasten("alpha", ["job-1"], 2.0)
        for claim in take():
            looks.append(clock.now())
            _look(ledger, claim, clock)
        clock.advance(0.01)
    assert len(looks) == 5
    assert all(later - sooner > 1.999 for sooner, later in pairwise(looks))
    due = ledger.get("job-1").due_at
    assert due is not None
    assert due - looks[-1] == pytest.approx(2, abs=0.001)  # not the countdown of twenty seconds


def test_a_look_that_comes_sooner_anyway_is_left_alone(
    ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock
) -> None:
    """Its countdown is over before the spacing is: news never puts a look off."""
    waiting()
    assert ledger.hasten("alpha", ["job-1"], 30.0) == 1
    (claim,) = take()
    due = _look(ledger, claim, clock).due_at
    assert ledger.hasten("alpha", ["job-1"], 30.0) == 0
    assert ledger.get("job-1").due_at == due


def test_news_during_a_look_brings_another(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """That look may have asked too early; the next one does not wait for its countdown, the one after that does."""
    waiting(due_at=clock.now())
    (claim,) = take()
    (job,) = ledger.begin("alpha", [(claim.id, claim.seq)], [POLLING], 30.0)
    held = ledger.get("job-1")
    assert [ledger.hasten("alpha", ["job-1"], 2.0) for _ in range(3)] == [1, 0, 0]
    assert ledger.get("job-1") == held
    clock.advance(0.5)
    ledger.write([job.stay(now=clock.now(), due_at=clock.now() + 20, polls=1)])
    assert ledger.get("job-1").due_at == clock.now()
    (claim,) = take()
    assert _look(ledger, claim, clock).due_at == clock.now() + 20


def test_news_during_a_look_that_ends_the_job(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """The look saw the end already: its own wake-up time stands, and nothing is left over."""
    waiting(due_at=clock.now())
    (claim,) = take()
    (job,) = ledger.begin("alpha", [(claim.id, claim.seq)], [POLLING], 30.0)
    ledger.hasten("alpha", ["job-1"], 2.0)
    (fetching,) = ledger.write([job.to(JobState.FETCHING, now=clock.now(), due_at=clock.now() + 9)])
    assert fetching is not None
    assert ledger.get("job-1").due_at == clock.now() + 9
    (done,) = ledger.write([fetching.to(JobState.FAILED, now=clock.now())])
    assert done is not None
    (again,) = ledger.write([done.reopen(POLLING, now=clock.now(), due_at=clock.now() + 20)])
    assert again is not None
    ledger.write([again.stay(now=clock.now(), due_at=clock.now() + 20)])
    assert ledger.get("job-1").due_at == clock.now() + 20


def test_who_pauses_during_a_look_is_heard(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """A person's wish goes before the provider's news."""
    waiting(due_at=clock.now())
    (claim,) = take()
    (job,) = ledger.begin("alpha", [(claim.id, claim.seq)], [POLLING], 30.0)
    ledger.hasten("alpha", ["job-1"], 2.0)
    ledger.write([job.stay(now=clock.now(), due_at=clock.now() + 500, wish=Wish.PAUSE)])
    assert ledger.get("job-1").due_at == clock.now() + 500


def test_a_claim_is_not_taken_back(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """A look is on its way: no second message is made for it, and its claim counts."""
    waiting(due_at=clock.now())
    (claim,) = take()
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 0
    assert take() == []
    assert len(ledger.begin("alpha", [(claim.id, claim.seq)], [POLLING], 30.0)) == 1


def test_a_closed_gate_stays_closed(ledger: Ledger, waiting: NewJob, take: Take, clock: ManualClock) -> None:
    """News is no reason to call a provider that asked for rest."""
    waiting()
    ledger.pause("alpha", 60)
    assert ledger.hasten("alpha", ["job-1"], 2.0) == 1
    assert take() == []
    clock.advance(60)
    assert [claim.id for claim in take()] == ["job-1"]


def test_handles_lead_to_jobs_for_a_while(ledger: Ledger, clock: ManualClock) -> None:
    """By the provider's own names; another provider's are others, a later job takes a name over, and it ends."""
    end = clock.now() + 60
    ledger.keep_handles("alpha", {"r-1": "job-1", "r-2": "job-2"}, end)
    ledger.keep_handles("beta", {"r-1": "other"}, end)
    ledger.keep_handles("alpha", {"r-2": "job-3"}, end)
    assert ledger.of_handles("alpha", ["r-2", "unknown", "r-1"]) == ["job-3", "job-1"]
    assert ledger.of_handles("alpha", []) == []
    assert ledger.of_handles("beta", ["r-1", "r-2"]) == ["other"]
    # Its keys go by themselves, by the server's own clock.
    assert 0 < ledger._redis.pttl(ledger._key("alpha", "handle", "r-1")) <= 60_000
