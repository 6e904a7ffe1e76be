"""The provider is in trouble at every step: that costs jobs time, never their life, and never a second job."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from simulator.plans import Provider
from tests.waiting import until
from workflows.command.stack import Process

from .conftest import GRACE, Sent, Ward, alive, every

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]

SUBMIT: dict[Provider, str] = {
    "commonsdb": "declare",
    "myipr": "create",
    "unique_tokens": "post_tokens",
    "lettrlabs": "create_conversions",
}
POLL: dict[Provider, Sequence[str]] = {
    "commonsdb": ["status"],
    "myipr": ["get_version"],
    "unique_tokens": ["get_milestone", "get_tokens"],
    "lettrlabs": ["conversion_status"],
}
FETCH: dict[Provider, Sequence[str]] = {"myipr": ["certificate"], "unique_tokens": ["data"]}

#: So long nobody answers, seconds.
DOWN = 60.0

#: Longer than a worker waits for an answer, seconds.
LATE = {"seconds": 1.5}
TROUBLES: dict[str, dict[str, Any]] = {
    "reset": {},
    "reset_after": {},
    "latency": LATE,
    "429": {"retry_after": 2},
    "500": {},
    "503": {},
    "401": {},
    "rubbish": {},
    "cut_body": {},
}
#: After these at the submission nobody can know whether it arrived, and these providers cannot be asked for certain.
UNKNOWABLE: dict[str, Sequence[Provider]] = {
    "reset": ("commonsdb", "unique_tokens"),
    "500": ("commonsdb", "unique_tokens"),
    "503": ("commonsdb", "unique_tokens"),
    "429": ("unique_tokens",),  # CommonsDB documents it as turned away
}


def _trouble(house: Ward, kind: str) -> None:
    for provider, submit in SUBMIT.items():
        house.sim.fault(provider, kind, submit, times=1, **TROUBLES[kind])  # type: ignore[arg-type]
        for poll in POLL[provider]:
            house.sim.fault(provider, kind, poll, times=2, **TROUBLES[kind])  # type: ignore[arg-type]
        for fetch in FETCH.get(provider, ()):
            house.sim.fault(provider, kind, fetch, times=2, **TROUBLES[kind])  # type: ignore[arg-type]


def resubmit(house: Ward, sent: Sent) -> None:
    """What a person does who has looked at the provider and found nothing."""
    assert house.submits(sent).accepted == 0, "the person would find it"
    command = [sys.executable, "-m", "workflows.command", "resolve", sent.id, "--resubmit"]
    done = subprocess.run(command, env=house.environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", TROUBLES)
def test_trouble_at_submission_poll_and_fetch(house: Ward, kind: str) -> None:
    """Each job meets it at its submission, at two polls and at two fetches, ends well, and was accepted once."""
    _trouble(house, kind)
    house.pair("-P", "threads", "-c", "2")
    jobs = house.one_of_each("troubled")
    for sent in [sent for sent in jobs if sent.provider in UNKNOWABLE.get(kind, ())]:
        until(lambda sent=sent: (job := house.job(sent)) and job.attempts >= 1 and job.state == "in_doubt", "doubt")  # type: ignore[misc]
        resubmit(house, sent)
    until(lambda: house.finished(jobs), "the end of all jobs", 60)
    wrong = [f"{sent.id}: {job.state} {job.failure}" for sent in jobs if (job := house.job(sent)) and job.failure]
    assert not wrong, wrong
    house.assert_sent_once(jobs, faults=True)
    waits = house.stalls(jobs)
    print(f"\n{kind}: the longest wait was {waits[0]}")  # noqa: T201


def _down(house: Ward, *, how: str) -> None:
    """All providers at once, at whatever is asked."""
    for provider in SUBMIT:
        house.sim.fault(provider, how, **(LATE if how == "latency" else {}))  # type: ignore[arg-type]


@pytest.mark.timeout(270)
def test_all_providers_are_down_for_a_minute(house: Ward) -> None:
    """A minute without an answer, in three ways, with jobs at every poll: all end well, and the same workers go on."""
    workers: list[Process] = house.pair("-P", "threads", "-c", "2")
    jobs = [sent for number in range(3) for sent in house.one_of_each(f"down-{number}", duration=240)]
    until(lambda: all(house.state(sent) == "polling" for sent in jobs), "all polling", 30)
    began = time.monotonic()
    for number, how in enumerate(("reset", "500", "latency"), start=1):
        house.sim.clear_faults()
        _down(house, how=how)
        every(1.0, lambda: None, lambda n=number: time.monotonic() < began + n * DOWN / 3)  # type: ignore[misc]
    for provider in SUBMIT:  # one job at a time probes, for all of them
        tries = [job.attempts for sent in jobs if sent.provider == provider and (job := house.job(sent))]
        assert sum(tries) >= 3, f"{provider}: three questions without an answer"
    house.sim.clear_faults()
    house.assert_ended_well_once(jobs, 120)
    assert alive(workers) == workers
    house.assert_in_time(
        jobs, f"providers down for {DOWN:g} s", DOWN * 2 + GRACE
    )  # the gate's longest pause, beyond the outage


def test_a_wrong_key_stops_the_provider_not_its_jobs(house: Ward) -> None:
    """401 for everybody: the gate closes, nothing hammers the provider, and all goes on once the key is right."""
    house.pair("-P", "threads", "-c", "2")
    house.sim.fault("myipr", "401")
    jobs = [house.certify(f"key-{number}") for number in range(10)]
    until(lambda: house.ledger.paused_until("myipr"), "a closed gate", 20)
    until(lambda: house.ledger.paused_until("myipr") > house.ledger.now() + 3, "a pause that grows", 30)
    assert sum(house.sim.account()["myipr"].requests["create"].values()) < 2 * len(jobs), "the provider is hammered"
    house.sim.clear_faults()
    house.assert_ended_well_once(jobs, 40, faults=True)
