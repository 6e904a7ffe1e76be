"""Whether a record is on replicas, too: a real primary and a real replica."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from config.embedded import EmbeddedRedis
from jobs.clock import ManualClock
from jobs.ledger import Ledger
from jobs.record import Job


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    """A primary and its replica."""
    with (
        EmbeddedRedis(tmp_path / "one") as one,
        EmbeddedRedis(tmp_path / "two") as two,
        redis.Redis.from_url(one.url, decode_responses=True) as primary,
        redis.Redis.from_url(two.url) as replica,
    ):
        primary.config_set("repl-diskless-sync-delay", 0)
        replica.config_set("masterauth", one.url.split(":")[2].partition("@")[0])
        replica.execute_command("REPLICAOF", "127.0.0.1", one.port)
        end = time.monotonic() + 20
        while primary.execute_command("WAIT", 1, 100) < 1:
            assert time.monotonic() < end, "the replica did not come"
        yield primary, replica


def test_nobody_has_a_copy(ledger: Ledger, new_job: Callable[..., Job]) -> None:
    """One server alone, in memory and real: true for no replica, false for one."""
    ledger.accept(new_job())
    job = ledger.get("job-1")
    assert ledger.copied([job], 0, 0.05) == [True]
    assert ledger.copied([job], 1, 0.05) == [False]


def test_a_replica_that_follows_and_one_that_does_not(
    pair: tuple[redis.Redis, redis.Redis], new_job: Callable[..., Job], clock: ManualClock
) -> None:
    """Cut off, the replica counts for nothing, although the record is written."""
    primary, replica = pair
    ledger = Ledger(primary, clock=clock)
    ledger.accept(new_job("one"))
    first = ledger.get("one")
    assert ledger.copied([first], 1, 20.0) == [True]
    assert ledger.copied([first], 2, 0.05) == [False]
    replica.execute_command("REPLICAOF", "NO", "ONE")
    ledger.accept(new_job("two"))
    assert ledger.copied([first, ledger.get("two")], 1, 0.2) == [False, False]


def test_a_record_that_this_server_does_not_have(
    pair: tuple[redis.Redis, redis.Redis], new_job: Callable[..., Job], clock: ManualClock
) -> None:
    """After a fail-over another server may answer, and well: what counts is whether the record stands there."""
    ledger = Ledger(pair[0], clock=clock)
    ledger.accept(new_job("known"))
    known = ledger.get("known")
    moved = replace(known, seq=known.seq + 1)
    assert ledger.copied([known, moved, new_job("unknown")], 1, 20.0) == [True, False, False]
