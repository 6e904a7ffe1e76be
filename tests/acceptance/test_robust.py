"""What a running house stands: a killed worker, a wiped broker, an unconfigured provider, a redelivered trigger."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from redis.exceptions import OutOfMemoryError

from simulator import samples
from tests.waiting import until
from workflows.command.stack import Process, running

from .conftest import PYTHON, House

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]

#: A short lease, and calls that are shorter still.
QUICK = {"SETTLE_LEASE": "3"} | {
    f"SETTLE_{provider}__{field}": "1"
    for provider in ("COMMONSDB", "MYIPR", "UNIQUE_TOKENS", "LETTRLABS")
    for field in ("CONNECT_TIMEOUT", "READ_TIMEOUT")
}


def _upload(reference: str) -> dict[str, object]:
    return {"conversions": [samples.conversion(reference)]}


@pytest.mark.every_broker
@pytest.mark.timeout(120)
def test_a_killed_worker_costs_its_lease_only(house: House) -> None:
    """kill -9 in the middle of polling: another worker finishes all jobs, none was submitted twice."""
    house.environment.update(
        SETTLE_LEASE="3", SETTLE_LETTRLABS__CONNECT_TIMEOUT="1", SETTLE_LETTRLABS__READ_TIMEOUT="1"
    )
    house.environment.update(
        {
            f"SETTLE_{p}__{f}": "1"
            for p in ("MYIPR", "COMMONSDB", "UNIQUE_TOKENS")
            for f in ("CONNECT_TIMEOUT", "READ_TIMEOUT")
        }
    )
    victim = house.worker("-P", "prefork", "-c", "2")
    for number in range(20):
        house.sim.plan("lettrlabs", f"k-{number}", outcome="success", duration=150)
    results = [house.send("lettrlabs.convert", _upload(f"k-{number}"), f"k-{number}") for number in range(20)]
    until(lambda: all(result.state == "POLLING" for result in results), "all polling")
    os.killpg(victim.process.pid, 9)
    house.worker("-P", "threads", "-c", "2")
    assert [result.get(timeout=40)["state"] for result in results] == ["succeeded"] * 20
    books = house.sim.account()["lettrlabs"]
    assert {books.jobs[f"k-{number}"].submits for number in range(20)} == {1}


@pytest.mark.timeout(120)
def test_a_wiped_broker_loses_no_job(house: House) -> None:
    """Every key of the broker gone while jobs wait and a chain is under way: the ledger brings all of them back."""
    house.environment.update(QUICK)
    house.worker("-Q", "celery,settle.submit,settle.poll", "-P", "threads", "-c", "2")
    ident = samples.payment("wiped")["ident"]
    house.sim.plan("unique_tokens", ident, outcome="success", duration=30)
    paid = {"id": samples.payment("wiped")["id"], "ident": ident}
    body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 1000, "payment": paid, "seed": "a-seed"}
    result = house.send("unique_tokens.produce", body, "wiped")
    until(lambda: result.state == "FETCHING", "the chain to be published")
    assert until(lambda: house.redis.llen("settle.files"), "the message in the queue") == 1
    for key in house.redis.scan_iter("*"):
        if not key.startswith(("settle:", "celery-task-meta-")):
            house.redis.delete(key)
    house.worker("-Q", "settle.files", "-P", "threads", "-c", "2")
    assert result.get(timeout=40)["artifacts"][0]["verification"] == "verified"
    assert house.sim.account()["unique_tokens"].jobs[ident].submits == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_survives_a_restart_of_redis(house: House, pool: str) -> None:
    """Killed and started again with its append-only file: the same worker process works again within ten seconds."""
    house.environment.update(QUICK)
    worker = house.worker("-P", pool, "-c", "2")
    # One call hangs, so that the worker holds an unacknowledged message when the connection drops.
    house.sim.plan("lettrlabs", "r-1", outcome="success", duration=20)
    house.sim.fault("lettrlabs", "latency", operation="conversion_status", seconds=0.9, times=3)
    first = house.send("lettrlabs.convert", _upload("r-1"), "r-1")
    until(lambda: house.redis.hlen("unacked"), "an unacknowledged poll") and until(
        lambda: first.state == "POLLING" and house.redis.hlen("unacked"), "a poll in flight"
    )
    house.server.kill()
    house.server.start()
    started = time.monotonic()
    house.sim.plan("lettrlabs", "r-2", outcome="success", duration=1)
    second = house.send("lettrlabs.convert", _upload("r-2"), "r-2")
    assert second.get(timeout=20)["state"] == "succeeded"
    assert time.monotonic() - started < 10
    assert first.get(timeout=20)["state"] == "succeeded"
    assert worker.process.poll() is None
    books = house.sim.account()["lettrlabs"]
    assert (books.jobs["r-1"].submits, books.jobs["r-2"].submits) == (1, 1)


@pytest.mark.timeout(60)
def test_a_provider_without_settings_refuses_and_the_others_work(house: House) -> None:
    """The message names the missing variables."""
    del house.environment["SETTLE_MYIPR__BASE_URL"], house.environment["SETTLE_MYIPR__API_KEY"]
    house.worker("-P", "threads", "-c", "2")
    refused = house.send("myipr.certify", {"name": "a", "category_id": "10", "hash": "ab" * 32, "size": "1"}, "u-1")
    with pytest.raises(Exception, match="SETTLE_MYIPR__BASE_URL and SETTLE_MYIPR__API_KEY"):
        refused.get(timeout=20)
    house.sim.plan("lettrlabs", "u-2", outcome="success", duration=10)
    assert house.send("lettrlabs.convert", _upload("u-2"), "u-2").get(timeout=30)["state"] == "succeeded"


@pytest.mark.timeout(60)
def test_messages_between_stages_hold_ids_only(house: House) -> None:
    """What lies in the queues after the trigger is small, and has neither bodies nor personal data in it."""
    house.worker("-Q", "celery,settle.submit", "-P", "threads", "-c", "1")  # no worker of the poll queue: no clock
    record = samples.conversion("ids-only", lastName="Unmistakable")
    result = house.send("lettrlabs.convert", {"conversions": [record]}, "ids-only")
    until(lambda: result.state == "ACCEPTED", "the acceptance")
    assert house.redis.llen("settle.submit") == 0
    house.worker("-Q", "settle.poll", "-P", "threads", "-c", "1", SETTLE_BUNDLE__SIZE="1", name="clock")
    house.sim.plan("lettrlabs", "ids-only", outcome="success", duration=10)
    seen: set[str] = set()

    def watched() -> bool:
        for queue in ("settle.submit", "settle.poll", "settle.files"):
            seen.update(house.redis.lrange(queue, 0, -1))
        seen.update(house.redis.hvals("unacked"))
        return bool(result.ready())

    until(watched, "the end")
    assert seen
    assert not any("Unmistakable" in message for message in seen)
    assert max(map(len, seen)) < 2500


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["poll-worker", "file-worker", "webhooks", "flower", "beat"])
def test_each_line_of_the_procfile_runs_as_it_stands(house: House, tmp_path: Path, name: str) -> None:
    """With the programs on the PATH and the settings in the environment, as the README says."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line.strip())
    ready = {"flower": "Visit me at", "webhooks": "delivering to nobody"}.get(name, " ready.")
    schedules = tmp_path / "schedules.toml"
    schedules.write_text('[daily]\nworkflow = "lettrlabs.delete"\ncrontab = "0 6 * * *"\nkwargs = { id = 17 }\n')
    environment = {
        **house.environment,
        "SETTLE_SCHEDULES": str(schedules),
        "PATH": f"{Path(os.sys.executable).parent}:{os.environ['PATH']}",  # type: ignore[attr-defined]
        "SETTLE_FLOWER__PASSWORD": "not-a-secret",
        "SETTLE_FLOWER__PORT": "0",
    }
    process = Process(name, shlex.split(lines[name]), environment, lambda *_: None)
    with running(process):
        process.wait_for(ready)
    assert process.process.returncode in (0, -15)


@pytest.mark.timeout(90)
def test_a_full_redis_stops_the_intake_and_nothing_else(house: House) -> None:
    """Out of memory: the trigger is refused or waits, with the reason in the log; memory back, everything goes on."""
    house.environment.update(QUICK)
    house.worker("-P", "threads", "-c", "2")
    house.sim.plan("lettrlabs", "o-1", outcome="success", duration=120)
    house.sim.plan("lettrlabs", "o-2", outcome="success", duration=1)
    running_job = house.send("lettrlabs.convert", _upload("o-1"), "o-1")
    until(lambda: running_job.state == "POLLING", "the first job to be polled")
    waiting = house.send("lettrlabs.convert", _upload("o-2"), "o-2")  # it may have been recorded before memory ran out
    house.redis.config_set("maxmemory", "1mb")
    with pytest.raises(OutOfMemoryError):
        house.redis.set("a", "b")
    told = subprocess.run(
        [PYTHON, "-m", "workflows.command", "submit", "lettrlabs.delete", "--input", "-", "--id", "o-3"],
        input='{"id": 1}', env=house.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (told.returncode, "Redis is full" in told.stderr) == (5, True), told.stderr
    house.redis.config_set("maxmemory", "0")
    assert running_job.get(timeout=30)["state"] == "succeeded"
    assert waiting.get(timeout=30)["state"] == "succeeded"
    books = house.sim.account()["lettrlabs"]
    assert (books.jobs["o-1"].submits, books.jobs["o-2"].submits) == (1, 1)


@pytest.mark.timeout(120)
def test_a_damaged_key_of_one_provider_stops_no_other(house: House) -> None:
    """A list in the place of CommonsDB's wake-up times: others finish, and its own trigger does once it is mended."""
    house.environment.update(QUICK)
    due = "settle:{commonsdb}:due"
    house.redis.lpush(due, "a message that was sent to this key")
    house.worker("-P", "threads", "-c", "2")
    work = samples.declaration(house.sim.base_urls["commonsdb"], name="held")
    held = house.send("commonsdb.declare", {"declaration": work}, "held")
    assert house.send("lettrlabs.convert", _upload("free"), "free").get(timeout=40)["state"] == "succeeded"
    assert not house.redis.exists("settle:{commonsdb}:job:held")
    house.redis.delete(due)
    assert held.get(timeout=60)["state"] == "succeeded"


@pytest.mark.timeout(120)
def test_a_link_that_names_a_key_pushes_onto_none(house: House) -> None:
    """Refused with the field, before anything is sent; that key does not come to be."""
    house.environment.update(QUICK)
    house.worker("-P", "threads", "-c", "2")
    link = {"task": "billing.paid", "queue": "settle:{commonsdb}:due"}
    result = house.send("lettrlabs.convert", {**_upload("bad"), "then": [link]}, "bad")
    with pytest.raises(Exception, match=r"then\.0\.queue: use 1 to 200 ASCII letters"):
        result.get(timeout=40)
    assert not house.redis.exists("settle:{commonsdb}:due")
    assert "bad" not in house.sim.account()["lettrlabs"].jobs
