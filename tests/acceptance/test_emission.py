"""Events with real processes: whoever delivers or reads them is killed at every point, and each event still arrives."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import redis

from config.embedded import EmbeddedRedis
from config.fail_points import DELIVERY_POINTS
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import TERMINAL, JobState
from simulator import samples
from tests.emission.conftest import SECRET
from tests.emission.receiver import Endpoint, listening
from tests.waiting import until
from workflows.command.stack import Process, running

from .conftest import PYTHON, House
from .test_chains import _billing, _told

pytestmark = [pytest.mark.acceptance]

EVERY = json.dumps([state.value for state in JobState])
SETTLE = [PYTHON, "-m", "workflows.command"]


def _environment(url: str, endpoint: Endpoint, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")}
    return {
        **clean,
        "SETTLE_REDIS_URL": url,
        "SETTLE_WEBHOOKS__SHOP__URL": endpoint.url,
        "SETTLE_WEBHOOKS__SHOP__SECRETS": SECRET,
        "SETTLE_WEBHOOKS__SHOP__ALLOW_HTTP": "true",
        "SETTLE_WEBHOOKS__SHOP__ALLOW_PRIVATE": "true",
        "SETTLE_WEBHOOKS__SHOP__STATES": EVERY,
        "SETTLE_WEBHOOKS__SHOP__TIMEOUT": "0.5",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def _delivering(environment: dict[str, str], log: list[str]) -> Process:
    process = Process("webhooks", [*SETTLE, "webhooks", "run"], environment, lambda _, line: log.append(line))
    process.wait_for("delivering to shop")
    return process


def _go(ledger: Ledger, job_id: str, *states: str) -> None:
    """A job goes this way, by the ledger's own moves."""
    now = ledger.now()
    ledger.accept(Job(job_id, "myipr", "myipr.certify", JobState.ACCEPTED, now, now + 60, digest="d", due_at=now))
    for state in map(JobState, states):
        due = None if state in TERMINAL else now + 60
        (written,) = ledger.write([ledger.get(job_id).to(state, due_at=due, now=ledger.now())])
        assert written is not None


@pytest.mark.timeout(120)
def test_who_delivers_is_killed_at_every_point(
    redis_server: EmbeddedRedis, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """SIGKILL: each event of each job arrives, in order per job, from the process that comes next."""
    ledger, log = Ledger(redis_client), []
    wanted: dict[str, list[int]] = {}
    with listening() as endpoint:
        environment = _environment(redis_server.url, endpoint)
        with running(_delivering(environment, log)):
            until(lambda: redis_client.hlen("settle:{to:shop}:at") >= 5, "the target to have begun")
        for point in DELIVERY_POINTS:
            token = tmp_path / point
            token.touch()
            armed = _delivering({**environment, "SETTLE_FAIL_POINT": f"{point}:{token}"}, log)
            for number in range(4):
                wanted[f"{point}-{number}"] = [1, 2, 3, 4]
                _go(ledger, f"{point}-{number}", "submitting", "polling", "succeeded")
            until(lambda armed=armed: armed.process.poll() is not None, f"a death at {point}")
            assert armed.stop() == -9
            assert not token.exists()
        # What was in hand is held by a lease of 15.5 s, unless its time is over.
        redis_client.zadd("settle:{to:shop}:due", dict.fromkeys(redis_client.zrange("settle:{to:shop}:due", 0, -1), 0))
        with running(_delivering(environment, log)) as last:
            until(lambda: endpoint.story() == wanted, f"every event, not {endpoint.story()}")
            until(lambda: int(redis_client.hget("settle:{to:shop}:state", "waiting") or 0) == 0, "nothing to wait")
            assert last.stop() == 0
    story: dict[str, list[int]] = {}
    for each in endpoint.got:
        story.setdefault(each.data["job_id"], []).append(each.data["seq"])
    assert all(seqs == sorted(seqs) for seqs in story.values()), story
    again = {job_id for job_id, seqs in story.items() if len(seqs) > len(wanted[job_id])}
    # Which ones, depends on what was due when it died.
    assert again, "it died before it had sent anything"
    assert not [line for line in log if "Traceback" in line or SECRET in line or "of-the-address" in line]


@pytest.mark.timeout(120)
def test_a_reader_of_a_group_is_killed(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> None:
    """`settle events --follow --group`: the one that stands by goes on, in order, with nothing left out."""
    ledger = Ledger(redis_client)
    environment = _environment(redis_server.url, Endpoint("http://127.0.0.1:9/"))
    told: list[list[str]] = [[], []]
    command = [*SETTLE, "events", "--follow", "--group", "billing", "--json"]
    readers = [
        Process(f"reader {n}", command, environment, lambda _, line, n=n: told[n].append(line))  # type: ignore[misc]
        for n in range(2)
    ]
    wanted = [(f"j-{number}", seq) for number in range(40) for seq in (1, 2, 3)]
    try:
        for number in range(20):
            _go(ledger, f"j-{number}", "submitting", "polling")
        first = until(lambda: [n for n in range(2) if len(told[n]) >= 60], "one of them to have read")[0]
        assert told[1 - first] == []
        readers[first].process.kill()
        # The lease of the dead: a minute, which this does not wait for.
        for key in redis_client.keys("*:events:reader:billing"):
            redis_client.delete(key)
        for number in range(20, 40):
            _go(ledger, f"j-{number}", "submitting", "polling")
        until(lambda: len(told[1 - first]) >= 60, "the other one to go on")
    finally:
        for reader in readers:
            reader.stop()
    read = [json.loads(line) for line in (*told[first], *told[1 - first])]
    seen = [(event["job_id"], event["seq"]) for event in read]
    assert set(seen) == set(wanted)
    for number in range(40):
        own = [seq for job_id, seq in seen if job_id == f"j-{number}"]
        assert own == sorted(own)
    assert len(seen) <= len(wanted) + 1


@pytest.mark.timeout(120)
def test_a_whole_job_is_told_to_a_webhook_a_task_and_a_group(house: House) -> None:
    """From the trigger on, with real workers: a failed job, too, starts the task of another application."""
    _billing(house)
    house.worker("-P", "threads", "-c", "2")
    house.sim.plan("lettrlabs", "e-1", outcome="success", duration=20)
    house.sim.plan("lettrlabs", "e-2", outcome="failed", duration=20)
    log: list[str] = []
    with listening() as endpoint:
        told = _environment(house.environment["SETTLE_REDIS_URL"], endpoint)
        more = {name: value for name, value in told.items() if "WEBHOOKS" in name and "STATES" not in name}
        more |= {"SETTLE_DOWNSTREAM__BILLING__TASK": "billing.paid", "SETTLE_DOWNSTREAM__BILLING__QUEUE": "billing"}
        environment = {**house.environment, **more}
        with running(_delivering(environment, log)):
            until(lambda: house.redis.hlen("settle:{to:billing}:at") >= 5, "the targets to have begun")
            for name in ("e-1", "e-2"):
                house.send("lettrlabs.convert", {"conversions": [samples.conversion(name)]}, name)
            began = time.monotonic()
            until(lambda: len(endpoint.got) == 2 and len(_told(house)) == 2, f"both to be told: {log[-5:]}")
            assert time.monotonic() - began < 30
    assert {each.id.partition(":")[0]: each.data["target"] for each in endpoint.got} == {
        "e-1": "succeeded",
        "e-2": "failed",
    }
    billed = {each["parent"]: each["kwargs"]["event"] for each in _told(house)}
    assert {job_id: event["target"] for job_id, event in billed.items()} == {"e-1": "succeeded", "e-2": "failed"}
    assert {each.data["seq"] for each in endpoint.got} == {event["seq"] for event in billed.values()}
    done = house.settle("events", "--group", "late", "--json")
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["job_id"] for event in ends if event["target"] in TERMINAL} == {"e-1", "e-2"}
    example = samples.conversion("e-1")["primaryEmail"]
    assert example not in done.stdout + "".join(log) + "".join(each.body for each in endpoint.got)
