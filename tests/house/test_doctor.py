"""The doctor: a Redis that may forget jobs is named, with the remedy, and the exit code says it to scripts."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config import acl, checks
from config.checks import Level
from config.checks.keys import keys
from config.checks.ledger import usable
from config.checks.settings import in_clear
from config.checks.storage import storage
from config.checks.workers import workers
from config.embedded import EmbeddedRedis
from config.settings import made_of
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from tests.forked import python


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


def _doctor(own: EmbeddedRedis, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"SETTLE_REDIS_URL": own.url, "SETTLE_FLOWER__PASSWORD": "a-password", **settings}
    return python("-m", "workflows.command", "doctor", *arguments, env=environment, timeout=30)


def test_the_index_of_jobs_is_put_in_order(own: EmbeddedRedis, client: redis.Redis) -> None:
    """A job that a worker of an older version moved is found by its state again."""
    ledger = Ledger(client)
    now = ledger.now()
    for job_id in ("a", "b"):
        ledger.accept(Job(job_id, "myipr", "myipr.certify", JobState.POLLING, now, now + 60, due_at=now))
    client.hset("settle:{myipr}:job:a", "state", "fetching")  # and in no list
    assert ledger.jobs("myipr", JobState.FETCHING) == []
    done = _doctor(own, "--reindex")
    assert done.returncode == 0, done.stderr
    assert "2 jobs are in the lists of their states and tags" in done.stdout
    assert [job.id for job in ledger.jobs("myipr", JobState.FETCHING)] == ["a"]


def test_each_provider_is_asked_even_if_another_cannot_be(own: EmbeddedRedis) -> None:
    """One has a file of authorities that is not there, nobody listens for the other: two findings, no traceback."""
    found = _doctor(
        own, "--json",
        SETTLE_MYIPR__BASE_URL="https://127.0.0.1:1", SETTLE_MYIPR__API_KEY="hidden-key",
        SETTLE_MYIPR__CA_FILE="no.pem",
        SETTLE_LETTRLABS__BASE_URL="http://127.0.0.1:1", SETTLE_LETTRLABS__API_KEY="hidden-key",
    )  # fmt: skip
    assert found.returncode == 5, found.stderr
    said = {line["what"]: line["level"] for line in map(json.loads, found.stdout.splitlines())}
    assert [level for what, level in said.items() if "ca_file: no.pem holds no certificates" in what] == ["refused"]
    assert [level for what, level in said.items() if what.startswith("lettrlabs: the request never left")] == [
        "refused"
    ]
    assert "hidden-key" not in found.stdout + found.stderr


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


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["-zadd"], "may not send ZADD"),
        (["-evalsha"], "may not run scripts"),
        (["resetkeys", "~another:*"], "may not run scripts, or not write keys"),
        (["-info"], "INFO"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_a_user_that_may_too_little_is_named(
    own: EmbeddedRedis, client: redis.Redis, rules: list[str], said: str
) -> None:
    """With the remedy, before the first job meets it."""
    client.execute_command("ACL", "SETUSER", "settle", "reset", "on", ">pw", *acl.rules("settle"))
    with redis.Redis(port=own.port, username="settle", password="pw", decode_responses=True) as user:
        assert checks.reachable(user) + usable(user) == []
        client.execute_command("ACL", "SETUSER", "settle", *rules)
        found = checks.reachable(user) or usable(user)
    assert [(finding.level, said in finding.what) for finding in found] == [(Level.REFUSED, True)]
    assert "settle acl" in found[0].remedy


def test_a_storage_is_written_read_and_left_as_it_was(tmp_path: Path) -> None:
    """The probe is gone afterwards."""
    assert storage(tmp_path.as_uri()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["file:///dev/null/nowhere", "no-such-protocol://user:hidden-key@host/x"])
def test_a_storage_that_cannot_be_used_is_refused(url: str) -> None:
    """Without its address, which may hold a key."""
    (finding,) = storage(url)
    assert finding.level is Level.REFUSED
    assert "hidden-key" not in repr(finding)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"myipr": {"base_url": "http://api.example/x", "api_key": "k"}}, ["SETTLE_MYIPR__BASE_URL"]),
        ({"myipr": {"base_url": "https://api.example/x", "api_key": "k"}}, []),
        ({"myipr": {"base_url": "http://127.0.0.1:8080/x", "api_key": "k"}}, []),
        ({"redis_url": "redis://:hidden-key@redis.example/0"}, ["rediss://"]),
        ({"redis_url": "rediss://:hidden-key@redis.example/0"}, []),
        ({"redis_url": "sentinel://127.0.0.1;sentinel://:hidden-key@two.example/0"}, ["sentinels://"]),
        ({"redis_url": "sentinels://:hidden-key@one.example;sentinels://two.example/0"}, []),
        ({"broker_url": "amqps://u:hidden-key@rabbit.example//"}, []),
        ({"broker_url": "amqp://u:hidden-key@rabbit.example//"}, ["amqps://"]),
    ],
    ids=str,
)
def test_what_travels_in_clear_text_is_named(values: dict[str, Any], named: list[str]) -> None:
    """Keys and bodies over http:// and redis://, unless it is this machine."""
    found = in_clear(made_of(**{"redis_url": "redis://127.0.0.1/0", **values}))
    assert [word for finding, word in zip(found, named, strict=True) if word in finding.remedy] == named
    assert "hidden-key" not in repr(found)


def report(**changes: Any) -> dict[str, Any]:
    """A worker with which all is well."""
    return {
        "version": "1", "queues": ["celery", "settle.poll"], "clock": 0.1, "offset": 0.0, "settings": {"core": "a"},
        "visibility_timeout": 900, "acks_late": True, "reject_on_worker_lost": True, "prefetch": 1, **changes,
    }  # fmt: skip


OWN = {"version": "1", "settings": {"core": "a"}, "offset": 0.0, "task_time_limit": 600.0}


def asked(own: dict[str, Any] | None = None, **reports: dict[str, Any]) -> list[str]:
    """What is wrong with these workers."""
    found = workers(reports, ("celery", "settle.poll"), {**OWN, **(own or {})})
    return [finding.what for finding in found if finding.level is not Level.FINE]


def test_sound_workers_are_fine() -> None:
    """Nothing to say."""
    assert asked(a=report(), b=report()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queues": ["settle.poll"]}, "no worker consumes celery"),
        ({"clock": None}, "runs no clock"),
        ({"clock": 40.0}, "has not looked for 40 s"),
        ({"offset": None}, "does not reach Redis"),
        ({"offset": 1.5}, "1.5 s ahead"),
        ({"offset": -70.0}, "70.0 s behind"),
        ({"visibility_timeout": 600}, "visibility timeout"),
        ({"acks_late": False}, "acks_late"),
        ({"prefetch": 4}, "prefetch"),
        ({"reject_on_worker_lost": False}, "reject_on_worker_lost"),
        ({"version": "2"}, "versions differ (1: this command; 2: a)"),
        ({"settings": {"core": "b"}}, "the settings of core are not the same here and in a"),
    ],
    ids=str,
)
def test_each_fault_of_a_worker_is_named(changes: dict[str, Any], said: str) -> None:
    """One spoilt report per rule, and one finding."""
    (what,) = asked(a=report(**changes))
    assert said in what


def test_no_worker_and_a_stranger_are_named() -> None:
    """Nobody answers, or somebody who does not know the question."""
    assert "no worker answers" in asked()[0]
    assert "other is no worker of Settle" in asked(a=report(), other={"error": "Unknown command 'settle'"})[0]


def test_this_machines_own_clock_is_looked_at() -> None:
    """The command signs nothing, but runs beside workers that do."""
    assert "this machine" in asked({"offset": 3.0}, a=report())[0]


QUEUES = ("celery", "settle.poll")


def _recorded(client: redis.Redis, job_id: str) -> None:
    ledger = Ledger(client)
    now = ledger.now()
    ledger.accept(Job(job_id, "myipr", "myipr.certify", JobState.POLLING, now, now + 60, due_at=now))


def test_a_sound_ledger_has_no_damaged_keys(client: redis.Redis) -> None:
    """Whatever is in it."""
    _recorded(client, "a")
    client.lpush("celery", "{}")
    client.lpush("settle:inbox:celery:refused", "a reason")
    assert keys(client, client, ["myipr", "commonsdb"], QUEUES) == []
    assert keys(client, None, ["myipr"], ()) == []


@pytest.mark.parametrize(
    "key",
    [
        "settle:{myipr}:due", "settle:{myipr}:gate", "settle:{myipr}:index", "settle:{myipr}:events",
        "settle:{myipr}:index:state:polling", "settle:{myipr}:learnt", "settle:{myipr}:book:x", "settle:{myipr}:job:b",
        "settle:{myipr}:job:a", "settle:owner:a", "settle:owner:b", "settle:inbox:celery:leases", "settle:targets",
        "settle:inbox:celery:held", "settle:{to:billing}:due",
    ],
)  # fmt: skip
def test_a_key_that_holds_a_message_is_named(client: redis.Redis, key: str) -> None:
    """With the command that removes it, quoted for a shell."""
    _recorded(client, "a")
    client.delete(key)
    client.lpush(key, "a message")
    (finding,) = keys(client, client, ["myipr", "commonsdb"], QUEUES)
    assert finding.level is Level.REFUSED
    assert repr(key) in finding.what
    assert finding.remedy.endswith(f"redis-cli DEL {shlex.quote(key)}")


def test_keys_of_other_types_are_named_under_the_printed_rules_too(own: EmbeddedRedis, client: redis.Redis) -> None:
    """That user may not look through all keys: those of providers, due jobs and waiting triggers are looked at."""
    _recorded(client, "a")
    wrong = ["settle:{myipr}:gate", "settle:inbox:celery:counter", "settle.poll", "settle:owner:a", "settle:owner:t"]
    message = {"headers": {"task": "settle.myipr.certify", "id": "t"}}
    client.hset("settle:inbox:celery:held", mapping={"1": json.dumps(message), "2": "no message"})
    client.zadd("settle:inbox:celery:leases", {"1": 1, "2": 2})
    for key in wrong:
        client.delete(key)
        client.geoadd(key, (1.0, 1.0, "x"))
    client.execute_command("ACL", "SETUSER", "worker", "reset", "on", ">a-password", *acl.rules("settle"))
    with redis.Redis(port=own.port, username="worker", password="a-password", decode_responses=True) as worker:
        found = keys(worker, worker, ["myipr"], QUEUES)
    assert sorted(finding.what.split("'")[1] for finding in found) == sorted(wrong)


def test_not_every_damaged_key_is_named(client: redis.Redis) -> None:
    """Ten of them, and how many more."""
    for number in range(15):
        client.lpush(f"settle:owner:{number}", "a message")
    found = keys(client, client, ["myipr"], QUEUES)
    assert len(found) == 11
    assert found[-1].what == "5 more such keys"
