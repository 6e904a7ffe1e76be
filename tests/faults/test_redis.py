"""Redis dies, freezes, goes away, forgets the broker's keys: the same worker processes work again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
import redis

from tests.waiting import until
from workflows.command.stack import Process

from .conftest import Sent, Ward, alive, every

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]

#: The same processes must work again so soon, seconds.
AGAIN = 10.0
AWAY = 20.0


def _every_stage(house: Ward, longest: float) -> list[Sent]:
    """Jobs that are polled for long, and some whose file hangs while it is fetched."""
    house.sim.fault("unique_tokens", "slow_body", "data", seconds=1.5, times=2)
    jobs = house.one_of_each("long", duration=longest) + [house.produce(f"slow-{number}") for number in range(2)]
    until(lambda: any(house.state(sent) == "fetching" for sent in jobs), "a job that is fetched", 20)
    return [*jobs, *house.one_of_each("new", duration=60)]


def _work_again(house: Ward, workers: list[Process], since: float, what: str) -> list[Sent]:
    """See that jobs triggered now are finished by the same processes, soon after Redis came back."""
    fresh = house.one_of_each(what, duration=1)
    house.assert_ended_well_once(fresh, AGAIN + 10)
    took = time.monotonic() - since
    print(f"\n{what}: works again after {took:.2f} s")  # noqa: T201
    assert took < AGAIN
    assert alive(workers) == workers
    return fresh


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_redis_is_killed_and_restarted(house: Ward, pool: str) -> None:
    """kill -9 with jobs in every stage: back with its append-only file nothing is lost and nothing sent twice."""
    workers = house.pair("-P", pool, "-c", "2")
    jobs = _every_stage(house, 600)
    house.server.kill()
    house.server.start()
    jobs += _work_again(house, workers, time.monotonic(), f"killed-{pool}")
    house.assert_ended_well_once(jobs, 60, person=True)
    house.assert_in_time(jobs, f"Redis killed ({pool})")


def _freeze(house: Ward) -> Callable[[], object]:
    assert house.server.process is not None
    pid = house.server.process.pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def _stop(house: Ward) -> Callable[[], object]:
    house.server.stop()
    return house.server.start


@pytest.mark.parametrize(
    ("away", "pool"),
    [(_freeze, "prefork"), (_stop, "prefork"), (_stop, "threads")],
    ids=["frozen-prefork", "stopped-prefork", "stopped-threads"],
)
def test_redis_is_away_for_a_while(house: Ward, pool: str, away: Callable[[Ward], Callable[[], object]]) -> None:
    """For 20 s, longer than a time limit: the same processes work again within 10 s, nothing lost or sent twice."""
    workers = house.pair("-P", pool, "-c", "2")
    jobs = _every_stage(house, 1500)
    back = away(house)
    end = time.monotonic() + AWAY
    every(1.0, lambda: None, lambda: time.monotonic() < end and len(alive(workers)) == len(workers))
    assert alive(workers) == workers, "a worker died while Redis was away"
    back()
    since = time.monotonic()
    jobs += _work_again(house, workers, since, f"{away.__name__.strip('_')}-{pool}")
    house.assert_ended_well_once(jobs, 60, person=True)
    assert alive(workers) == workers
    assert not [line for line in house.log if "Unrecoverable" in line], "a worker is on its way out"
    house.assert_in_time(jobs, f"Redis away for {AWAY:g} s ({away.__name__.strip('_')}, {pool})", AWAY + 3 + AGAIN)


def test_the_brokers_keys_are_wiped_again_and_again(house: Ward) -> None:
    """All queues and all of the broker's books vanish every half second while jobs run: the ledger is enough."""
    house.pair("-P", "threads", "-c", "2")
    jobs = [sent for number in range(5) for sent in house.one_of_each(f"wiped-{number}", duration=120)]
    until(lambda: all(house.state(sent) for sent in jobs), "all triggers recorded", 20)

    def wipe() -> None:
        for key in house.redis.scan_iter("*"):
            if not key.startswith(("settle:", "celery-task-meta-", "_kombu.binding")):
                house.redis.delete(key)

    end = time.monotonic() + 60
    wiped = every(0.5, wipe, lambda: not house.finished(jobs) and time.monotonic() < end)
    print(f"\nwiped {wiped} times")  # noqa: T201
    house.assert_ended_well_once(jobs, 10)
    house.assert_in_time(jobs, "the broker's keys wiped", 60)


def test_the_client_can_reach_redis_again(house: Ward) -> None:
    """A trigger sent while Redis is stopped is an error for its caller, and the same trigger afterwards is one job."""
    house.worker("-P", "threads", "-c", "2")
    house.server.stop()
    with pytest.raises((redis.RedisError, OSError)):
        house.redis.ping()
    house.server.start()
    house.assert_ended_well_once([house.certify("afterwards", duration=10)])
