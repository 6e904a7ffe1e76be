"""Chains and groups with real workers: by the simulator's books each link is submitted once, whoever is killed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu.exceptions import ChannelError

from simulator import samples
from tests.waiting import until
from workflows.command.stack import Process, signing

from .conftest import PYTHON, House
from .test_robust import QUICK

pytestmark = [pytest.mark.acceptance, pytest.mark.every_broker]

STAMPED = {"SETTLE_COMMONSDB__STAMP_WITHIN": "0.9"}  # the lease is short here
WORKER = ("-P", "prefork", "-c", "2")


def _billing(house: House) -> None:
    """Start the worker of the other application, and who starts it again: a stock worker ends with a fail-over."""
    command = [PYTHON, "-m", "celery", "-A", "tests.acceptance.billing", "worker", "-Q", "billing", "-P", "solo"]
    environment = {
        **os.environ,
        "BILLING_BROKER": house.servers.broker,
        "BILLING_OPTIONS": json.dumps(house.servers.options),
        "BILLING_BOOKS": str(_books(house)),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def start() -> Process:
        return Process("billing", [*command, "-l", "INFO"], environment, lambda *_: None)

    def supervise(process: Process) -> None:
        while not over.wait(0.1):
            if process.process.poll() is not None:
                process.stop()
                process = start()
        process.stop()

    first, over = start(), threading.Event()
    first.wait_for(" ready.")
    supervisor = threading.Thread(target=supervise, args=(first,))
    supervisor.start()
    house.exits.callback(supervisor.join)
    house.exits.callback(over.set)


def _told(house: House) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _books(house).read_text().splitlines()] if _books(house).exists() else []


def _books(house: House) -> Path:
    return Path(house.environment["SETTLE_STATE_DIR"]) / "told.jsonl"


def _waiting(house: House, queue: str) -> int:
    with suppress(ChannelError), house.client.connection_for_read() as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    return 0  # nobody ever sent there


def _dying(house: House, tmp_path: Path, *points: str) -> None:
    """Start a worker that dies at a fail point, the next one when it is dead, and in the end one that lives."""
    token = tmp_path / "token"
    for point in points:
        token.touch()
        victim = house.worker(*WORKER, SETTLE_FAIL_POINT=f"{point}:{token}", name="victim")
        house.exits.callback(victim.process.wait, 20)
        until(lambda dead=victim.process.poll: not token.exists() and dead() is not None, f"the death at {point}")
    house.worker(*WORKER, name="heir")


def _produce_then_certify(house: House, name: str) -> dict[str, Any]:
    paid = samples.payment(name)
    house.sim.plan("unique_tokens", paid["ident"], outcome="success", duration=60)
    house.sim.plan("myipr", f"tokens of {name}", outcome="success", duration=60)
    house.sim.plan("lettrlabs", f"letter-{name}", outcome="success", duration=60)
    certify = {
        "workflow": "myipr.certify",
        "name": "certificate",
        "kwargs": {
            "name": f"tokens of {name}",
            "category_id": "10",
            "size": "26",
            "hash": {"$from": "artifacts[tokens.txt].sha256"},
        },
    }
    work = samples.plain_metadata(f"tokens of {name}")
    work["description"] = {"$from": "artifacts[tokens.txt].sha256", "$of": 0}
    letter = samples.conversion(f"letter-{name}", customerId={"$from": "result.identifier"})
    told = {
        "sha256": {"$from": "artifacts[tokens.txt].sha256", "$of": 0},
        "by": {"$from": "result.transaction_id", "$of": "certificate"},
    }
    return {
        "alphabet": "UPPER_HEX",
        "digits": 12,
        "size": 2000,
        "payment": {"id": paid["id"], "ident": paid["ident"]},
        "then": [
            certify,
            {"workflow": "commonsdb.declare", "kwargs": {"metadata": work}},
            {"workflow": "lettrlabs.convert", "kwargs": {"conversions": [letter]}, "tags": {"letter": name}},
            {"task": "billing.paid", "queue": "billing", "kwargs": told},
        ],
    }


@pytest.mark.timeout(150)
def test_a_chain_over_four_providers_and_three_killed_workers(house: House, tmp_path: Path) -> None:
    """Tokens, a certificate of their verified file, its declaration, a letter, a task elsewhere: each once."""
    house.environment.update(QUICK | STAMPED | signing(house.sim.url, tmp_path))
    _billing(house)
    first = house.send("unique_tokens.produce", _produce_then_certify(house, "chain"), "order-1")
    _dying(house, tmp_path, "emit.before_write", "emit.after_links", "emit.after_write")
    outcome = first.get(timeout=60)
    assert (outcome["state"], outcome["next"]) == ("succeeded", "order-1.then.1")
    waited = house.settle("wait", "--chain", "order-1", "--timeout", "60", "--json")
    assert waited.returncode == 0, waited.stderr
    links = [json.loads(line) for line in waited.stdout.splitlines()]
    assert [link["job_id"] for link in links] == ["order-1", *(f"order-1.then.{number}" for number in (1, 2, 3))]
    assert [link.get("root") for link in links] == [None, *["order-1"] * 3]
    tokens, certificate, declaration, letter = links
    assert declaration["result"]["confirmed"]
    assert letter["tags"] == {"letter": "chain"}

    (file,) = tokens["artifacts"]
    stored = hashlib.sha256(Path(urlsplit(file["uri"]).path).read_bytes()).hexdigest()
    assert certificate["result"]["hash"] == stored == file["sha256"]
    told = until(lambda: _told(house), "the other application to be told")
    assert {entry["id"] for entry in told} == {"order-1.then.4"}
    assert told[0]["kwargs"] == {"sha256": stored, "by": certificate["result"]["transaction_id"]}
    assert (told[0]["root"], told[0]["parent"]) == ("order-1", "order-1.then.3")

    books = house.sim.account()
    assert books["unique_tokens"].jobs[samples.payment("chain")["ident"]].submits == 1
    assert books["myipr"].jobs["tokens of chain"].submits == 1
    assert books["commonsdb"].jobs[declaration["result"]["identifier"]].submits == 1
    assert books["lettrlabs"].jobs["letter-chain"].submits == 1
    assert all(not provider.doubles for provider in books.providers.values())


@pytest.mark.timeout(120)
def test_a_failed_link_stops_the_rest(house: House, tmp_path: Path) -> None:
    """The certificate fails: no letter, nobody told; the link and the command say what was not started."""
    house.environment.update(QUICK | STAMPED | signing(house.sim.url, tmp_path))
    house.worker(*WORKER)
    body = _produce_then_certify(house, "stop")
    house.sim.plan("myipr", "tokens of stop", outcome="failed", duration=30)
    assert house.send("unique_tokens.produce", body, "order-2").get(timeout=60)["next"] == "order-2.then.1"
    link = house.client.AsyncResult("order-2.then.1")
    with pytest.raises(Exception, match=r"not started: commonsdb\.declare, lettrlabs\.convert, billing\.paid"):
        link.get(timeout=60)
    waited = house.settle("wait", "--chain", "order-2", "--json")
    assert waited.returncode == 1
    assert json.loads(waited.stdout.splitlines()[-1])["stopped"] == [
        "commonsdb.declare",
        "lettrlabs.convert",
        "billing.paid",
    ]
    assert "letter-stop" not in house.sim.account()["lettrlabs"].jobs
    assert _waiting(house, "billing") == 0


@pytest.mark.timeout(150)
def test_a_group_and_a_killed_worker(house: House, tmp_path: Path) -> None:
    """Killed while the members are started: each is sent once; progress is seen, one outcome for all, then the rest."""
    house.environment.update(QUICK)
    _billing(house)
    for number in range(5):
        seconds = (1 + 1.5 * number) * house.servers.speed
        house.sim.plan("lettrlabs", f"m-{number}", outcome="success", duration=seconds)
    jobs = [
        {"workflow": "lettrlabs.convert", "kwargs": {"conversions": [samples.conversion(f"m-{n}")]}} for n in range(5)
    ]
    told = {"task": "billing.paid", "queue": "billing", "kwargs": {"letters": {"$from": "result.succeeded"}}}
    group = house.client.send_task("settle.group", kwargs={"jobs": jobs, "then": [told]}, task_id="batch-1")
    _dying(house, tmp_path, "group.midway")
    seen = until(
        lambda: group.state == "POLLING" and 0 < (group.info.get("progress") or 0) < 100 and dict(group.info),
        "progress",
    )
    assert seen["message"].endswith("of 5 ended")
    outcome = group.get(timeout=60)
    assert outcome["result"] == {
        "members": 5,
        "succeeded": 5,
        "jobs": [{"id": f"batch-1.{n}", "state": "succeeded"} for n in range(1, 6)],
        "left_out": 0,
    }
    body = tmp_path / "group.json"
    body.write_text(json.dumps({"jobs": jobs, "then": [told]}))
    again = house.settle("submit", "group", "--input", str(body), "--id", "batch-1", "--wait")
    assert again.returncode == 0, again.stderr  # the same id and input: the same group
    assert house.client.AsyncResult("batch-1.3").get(timeout=5)["root"] == "batch-1"
    assert until(lambda: _told(house), "the other application to be told")[0]["kwargs"] == {"letters": 5}
    books = house.sim.account()["lettrlabs"]
    assert {books.jobs[f"m-{number}"].submits for number in range(5)} == {1}
