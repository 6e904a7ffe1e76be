"""The `settle` command as a script would use it: exit codes, plain lines in a pipe, JSON for machines."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from simulator import samples
from tests.command.terminal import Terminal
from tests.waiting import until
from workflows.command.stack import Process, running

from .conftest import PYTHON, House

pytestmark = pytest.mark.acceptance


def _upload(reference: str, **changes: Any) -> str:
    return json.dumps({"conversions": [samples.conversion(reference, **changes)]})


@pytest.mark.every_broker
@pytest.mark.timeout(120)
def test_submit_wait_status_list_and_watch(house: House, tmp_path: Path) -> None:
    """A job from its input file to its end, and what the other commands say of it."""
    house.worker("-P", "threads", "-c", "2")
    house.sim.plan("lettrlabs", "c-1", outcome="success", duration=30)
    house.sim.plan("lettrlabs", "c-2", outcome="failed", duration=30)
    body = tmp_path / "body.json"
    body.write_text(_upload("c-1"))

    done = house.settle("submit", "lettrlabs.convert", "--input", str(body), "--id", "c-1", "--tag", "shop=7",
                   "--wait", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["state"], outcome["tags"]) == ("succeeded", {"shop": "7"})

    again = house.settle("submit", "lettrlabs.convert", "--input", "-", "--id", "c-1", stdin=_upload("c-1"))
    assert again.returncode == 0
    other = house.settle("submit", "lettrlabs.convert", "--input", "-", "--id", "c-1", stdin=_upload("c-9"))
    assert other.returncode == 6
    assert "c-1 belongs to another request" in other.stderr

    sent = house.settle("submit", "lettrlabs.convert", "--input", "-", "--id", "c-2", stdin=_upload("c-2"))
    assert sent.returncode == 0
    failed = house.settle("wait", "c-1", "c-2", "--json")
    assert failed.returncode == 1
    assert [json.loads(line)["state"] for line in failed.stdout.splitlines()] == ["succeeded", "failed"]

    status = house.settle("status", "c-2", "--json")
    assert json.loads(status.stdout)["error"]["kind"] == "provider_failed"
    listed = house.settle("list", "--state", "failed")
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == ["c-2"]
    tagged = house.settle("list", "--tag", "shop=7", "--state", "finished", "--text", "c-", "--since", "1h", "--json")
    assert [json.loads(line)["job_id"] for line in tagged.stdout.splitlines()] == ["c-1"]
    wrong = house.settle("list", "--since", "soon")
    assert (wrong.returncode, "since: 'soon' is neither" in wrong.stderr) == (2, True)
    watched = house.settle("watch", "c-1", "c-2")
    assert watched.returncode == 0
    assert len(watched.stdout.splitlines()) == 2
    assert house.sim.account()["lettrlabs"].jobs["c-1"].submits == 1


@pytest.mark.timeout(60)
def test_each_kind_of_trouble_has_its_exit_code(house: House) -> None:
    """Bad input 2, unknown job 3, not in time 4, wrong set-up 5; one line each, no traceback, no value quoted."""
    bad = _upload("c-1", primaryEmail="private value", revenue=-1)
    cases = [
        (house.settle("submit", "lettrlabs.convert", "--input", "-", stdin=bad), 2, "conversions.0.primaryEmail"),
        (house.settle("submit", "lettrlabs.convert", "--input", "-", stdin="{"), 2, "not JSON"),
        (house.settle("submit", "no.such", "--input", "-", stdin="{}"), 2, "lettrlabs.convert"),
        (house.settle("submit", "lettrlabs.delete", "--input", "-", "--id", "a b", stdin='{"id":1}'), 2, "id:"),
        (house.settle("status", "nobody"), 3, "no job 'nobody'"),
        (house.settle("wait", "nobody"), 3, "no job 'nobody'"),
        (house.settle("list", "--provider", "nobody"), 2, "commonsdb"),
    ]
    for done, code, said in cases:
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
        assert "private value" not in done.stderr
    house.worker("-Q", "celery", "-P", "solo")  # takes the trigger, but has no clock: the job waits
    sent = house.settle("submit", "lettrlabs.delete", "--input", "-", "--id", "w-1", stdin='{"id": 1}')
    assert sent.returncode == 0
    with Terminal("watch", settings=house.environment) as dashboard:
        dashboard.shows("1 jobs under way   workers: 1")
        dashboard.press("q")
        assert dashboard.ends() == 0
    assert house.settle("wait", "w-1", "--timeout", "0.5").returncode == 4
    house.environment["SETTLE_LEESE"] = "1"
    wrong = house.settle("list")
    assert (wrong.returncode, "SETTLE_LEESE" in wrong.stderr) == (5, True)
    del house.environment["SETTLE_LEESE"]
    house.environment["SETTLE_REDIS_URL"] = "redis://:topsecret@127.0.0.1:1/0"
    away = house.settle("list")
    assert (away.returncode, "Redis does not answer" in away.stderr) == (5, True)
    assert "topsecret" not in away.stderr
    assert until(lambda: house.ledger.get("w-1"), "the job").state == "accepted"


@pytest.mark.timeout(120)
def test_dev_ends_what_it_started_when_it_is_terminated(tmp_path: Path) -> None:
    """SIGTERM, as a supervisor sends it: workers, Redis, Flower and the simulated APIs end, too."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")}
    seen: list[str] = []
    command = [PYTHON, "-m", "workflows.command", "dev", "--state-dir", str(tmp_path)]
    dev = Process("dev", command, clean, lambda _, line: seen.append(line))
    with running(dev):
        port = int(dev.wait_for("ready. Simulated APIs at", 60).rsplit(":", 1)[1])
        dev.process.terminate()
        assert dev.process.wait(40) == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        pass
    assert any("stopped" in line for line in seen)
