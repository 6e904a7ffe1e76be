"""The doctor: a Redis that may forget jobs is named, with the remedy, and the exit code says it to scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from config import checks
from config.checks import Level
from config.embedded import EmbeddedRedis
from jobs.record import Job
from jobs.redis_ledger import RedisLedger
from jobs.states import JobState


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of one's own, to spoil."""
    with EmbeddedRedis(tmp_path) as server:
        yield server


@pytest.fixture
def client(own: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client of it."""
    with redis.Redis.from_url(own.url, decode_responses=True) as connection:
        yield connection


def test_the_embedded_server_is_sound(client: redis.Redis) -> None:
    """Nothing to say about it."""
    assert checks.ledger(client) == []


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "1gb"}, Level.REFUSED, "allkeys-lru"),
        ({"maxmemory-policy": "volatile-ttl"}, Level.WARNING, "volatile-ttl"),
        ({"appendonly": "no"}, Level.WARNING, "append-only"),
        ({"maxmemory": "1000000"}, Level.WARNING, "full"),
    ],
)
def test_each_danger_is_named(client: redis.Redis, changes: dict[str, str], level: Level, said: str) -> None:
    """One spoilt configuration per rule."""
    for name, value in changes.items():
        client.config_set(name, value)
    (finding,) = checks.ledger(client)
    assert (finding.level, said in finding.what) == (level, True)
    assert finding.remedy


def test_a_replica_is_refused(client: redis.Redis) -> None:
    """Nothing can be written there."""
    client.replicaof("127.0.0.1", "1")
    assert Level.REFUSED in {finding.level for finding in checks.ledger(client)}


def test_a_redis_that_is_away_is_a_finding(tmp_path: Path) -> None:
    """No exception, and no password in the text."""
    with redis.Redis.from_url("redis://:topsecret@127.0.0.1:1/0") as away:
        (finding,) = checks.reachable(away)
    assert finding.level is Level.REFUSED
    assert "topsecret" not in repr(finding)


def _doctor(own: EmbeddedRedis, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workflows.command", "doctor", *arguments],
        env={"SETTLE_REDIS_URL": own.url, "SETTLE_FLOWER__PASSWORD": "a-password"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_index_of_jobs_is_put_in_order(own: EmbeddedRedis, client: redis.Redis) -> None:
    """A job that a worker of an older version moved is found by its state again."""
    ledger = RedisLedger(client)
    now = ledger.now()
    for job_id in ("a", "b"):
        ledger.accept(Job(job_id, "myipr", "myipr.certify", JobState.POLLING, now, now + 60, due_at=now))
    client.hset("settle:{myipr}:job:a", "state", "fetching")  # and in no list
    assert ledger.jobs("myipr", JobState.FETCHING) == []
    done = _doctor(own, "--reindex")
    assert done.returncode == 0, done.stderr
    assert "2 jobs are in the lists of their states and tags" in done.stdout
    assert [job.id for job in ledger.jobs("myipr", JobState.FETCHING)] == ["a"]


def test_the_command_says_it_to_people_and_scripts(own: EmbeddedRedis, client: redis.Redis) -> None:
    """Exit 0 with warnings only, 5 when jobs would be lost; JSON lines for machines."""
    sound = _doctor(own)
    assert sound.returncode == 0, sound.stderr
    assert "SETTLE_MYIPR__BASE_URL" in sound.stdout
    client.config_set("maxmemory", "1gb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    spoilt = _doctor(own, "--json")
    assert spoilt.returncode == 5
    assert "refused" in {json.loads(line)["level"] for line in spoilt.stdout.splitlines()}
