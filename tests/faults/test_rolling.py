"""Workers are ended in order under load, and replaced one by one: nothing is lost, doubled, or waits for long."""

from __future__ import annotations

import signal
import time

import pytest

from tests.waiting import until
from workflows.command.stack import Process

from .conftest import Sent, Ward

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

#: A pool process of billiard may wait half a minute for its parent to have read everything, before it ends.
GRACE_PERIOD = 45.0


def _load(house: Ward, jobs: list[Sent], number: int) -> None:
    jobs += [sent for place in range(number) for sent in house.one_of_each(f"load-{len(jobs)}-{place}", duration=60)]


def _end(worker: Process) -> float:
    """SIGTERM, and how long the worker takes to end."""
    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: worker.process.poll() is not None, "the end of the worker", GRACE_PERIOD)
    assert worker.process.returncode == 0
    return time.monotonic() - began


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_from_one_worker_to_the_next_under_load(house: Ward, pool: str) -> None:
    """Four times the only worker gets a successor and SIGTERM while jobs keep coming."""
    jobs: list[Sent] = []
    took = []
    old = house.worker("-P", pool, "-c", "2")
    for _ in range(4):
        new = house.start("-P", pool, "-c", "2")
        _load(house, jobs, 2)
        new.wait_for(" ready.")
        _load(house, jobs, 4)
        took.append(_end(old))
        old = new
    _load(house, jobs, 2)
    house.assert_ended_well_once(jobs, 60)
    print(f"\nrolling ({pool}): {len(jobs)} jobs, the ends took {', '.join(f'{each:.1f}' for each in took)} s")  # noqa: T201
    house.assert_in_time(jobs, f"rolling ({pool})")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_only_worker_is_ended_under_load(house: Ward, pool: str) -> None:
    """SIGTERM with jobs in every stage: it ends with code 0, and the next worker goes on where it stood."""
    worker = house.worker("-P", pool, "-c", "2")
    house.sim.fault("unique_tokens", "slow_body", "data", seconds=2.0, times=3)
    jobs: list[Sent] = []
    _load(house, jobs, 6)
    until(lambda: any(house.state(sent) == "fetching" for sent in jobs), "a job that is fetched", 20)
    took = _end(worker)
    house.worker("-P", pool, "-c", "2")
    house.assert_ended_well_once(jobs, 60)
    print(f"\nended ({pool}): the end took {took:.1f} s")  # noqa: T201
    # Between the two there was no worker: that is nobody's lease.
    house.assert_in_time(jobs, f"ended ({pool})", 3 + 5 + took + 4)
