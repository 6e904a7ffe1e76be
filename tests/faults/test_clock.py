"""A worker's clock is a minute wrong, beside one that is right: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import sys

import pytest

from tests.waiting import until
from workflows.command.stack import Process

from .conftest import Ward, kill, ready

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]


def _shifted(house: Ward, seconds: float, **settings: str) -> Process:
    command = [sys.executable, "-m", "tests.faults.shifted", f"{seconds:g}"]
    return house.start("-P", "threads", "-c", "6", command=command, name="shifted", **settings)


def _slow_posts(house: Ward) -> None:
    """Each submission is under way for a while, in which another worker must leave it alone."""
    for provider, operation in (
        ("myipr", "create"), ("lettrlabs", "create_conversions"), ("unique_tokens", "post_tokens"),
        ("commonsdb", "declare"),
    ):  # fmt: skip
        house.sim.fault(provider, "latency", operation, seconds=0.8)


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_is_wrong_beside_a_right_one(house: Ward, seconds: float) -> None:
    """Both work on the same jobs: each is sent once, and ends as it should."""
    _slow_posts(house)
    workers = [_shifted(house, seconds), house.start("-P", "threads", "-c", "6")]
    for worker in workers:
        ready(worker)
    jobs = [sent for number in range(6) for sent in house.one_of_each(f"shifted-{number}", duration=60)]
    house.assert_ended_well_once(jobs, 60)


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_worker_with_a_wrong_clock_dies(house: Ward, seconds: float) -> None:
    """What it held is taken over by the other one's clock: after a lease, not after a minute."""
    worker = ready(_shifted(house, seconds))
    house.sim.fault("unique_tokens", "slow_body", "data", seconds=20.0, times=1)
    jobs = [*house.one_of_each("held", duration=120), house.produce("hangs", duration=10)]
    until(lambda: house.state(jobs[-1]) == "fetching", "a job in its hands", 20)
    kill(worker)
    house.worker("-P", "threads", "-c", "2")
    house.assert_ended_well_once(jobs, 30)
