"""Redis is lost and comes back from a copy: jobs go on, and none is sent twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import redis

from simulator import samples
from tests.command.schema import checked
from tests.waiting import until

from .conftest import House

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

HELD = ("commonsdb", "lettrlabs", "myipr", "unique_tokens")


def copy_of(client: redis.Redis, server_folder: Path, copy: Path) -> None:
    """The backup of docs/operations.md: the append-only file, rewritten and then left alone while it is copied."""
    client.config_set("auto-aof-rewrite-percentage", "0")
    client.bgrewriteaof()
    until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the rewrite")
    shutil.copytree(server_folder / "appendonlydir", copy)
    client.config_set("auto-aof-rewrite-percentage", "100")


def _certificate(name: str, **more: Any) -> dict[str, Any]:
    body = samples.certificate_request(name)
    return {**{key: body[key] for key in ("name", "category_id", "hash", "size")}, **more}


def _tokens(name: str) -> dict[str, Any]:
    paid = samples.payment(name)
    return {"alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "payment": {"id": paid["id"], "ident": paid["ident"]}}


def _uploads(*orders: str) -> dict[str, Any]:
    return {"conversions": [samples.conversion(order) for order in orders]}


def _states(house: House) -> dict[str, str]:
    return {job.id: job.state.value for name in HELD for job in house.ledger.jobs(name)}


def _submits(house: House) -> dict[str, int]:
    books = house.sim.account().providers.values()
    return {name: job.submits for book in books for name, job in book.jobs.items()}


def test_a_restored_ledger_sends_nothing_twice(house: House, tmp_path: Path) -> None:
    """Jobs that the copy shows as waiting, as triggers, as polled, and as followed by others; all were sent since."""
    house.environment["SETTLE_LEASE"] = "16"
    sim, ident = house.sim, samples.payment("t-1")["ident"]
    for provider, reference in (("myipr", "m-1"), ("myipr", "q-1"), ("unique_tokens", ident), ("lettrlabs", "l-1")):
        sim.plan(provider, reference, outcome="success", duration=60)  # type: ignore[arg-type]
    sim.plan("lettrlabs", "l-2", outcome="success", duration=60)
    for name in ("p-1", "p-2"):
        sim.plan("myipr", name, outcome="success", duration=600)
    worker = house.worker("-P", "threads", "-c", "4")
    house.send("myipr.certify", _certificate("p-1"), "p-1")
    follows = [{"workflow": "lettrlabs.convert", "kwargs": _uploads("l-2")}]
    house.send("myipr.certify", _certificate("p-2", then=follows), "p-2")
    until(lambda: _states(house) == {"p-1": "polling", "p-2": "polling"}, "two jobs that are polled")
    for provider in HELD:
        house.ledger.pause(provider, 3600)
    house.send("myipr.certify", _certificate("m-1"), "m-1")
    house.send("unique_tokens.produce", _tokens("t-1"), "t-1")
    house.send("lettrlabs.convert", _uploads("l-1"), "l-1")
    until(lambda: len(_states(house)) == 5, "three jobs that wait")
    worker.stop()
    house.send("myipr.certify", _certificate("q-1"), "q-1")  # nobody receives it yet

    copy = tmp_path / "copy"
    copy_of(house.redis, tmp_path / "redis", copy)
    for provider in HELD:
        house.ledger.open_gate(provider)
    worker = house.worker("-P", "threads", "-c", "4")
    sent = {"m-1", "q-1", "l-1", "l-2", "p-1", "p-2", ident}
    until(lambda: set(_submits(house)) == sent, "all jobs sent, and the link started")
    worker.stop()
    assert set(_submits(house).values()) == {1}

    house.server.kill()
    shutil.rmtree(tmp_path / "redis" / "appendonlydir")
    shutil.copytree(copy, tmp_path / "redis" / "appendonlydir")
    house.server.start()
    done = house.settle("restored", "--json")
    assert done.returncode == 0, done.stderr
    fates = {line["job_id"]: line["fate"] for line in checked("restored", done.stdout)}
    assert fates == {
        "m-1": "the provider is asked", "q-1": "the provider is asked", "t-1": "the provider is asked",
        "l-1": "waits for settle resolve", "p-1": "goes on", "p-2": "paused",
    }  # fmt: skip
    again = house.settle("restored").stdout  # once more changes nothing
    assert again.splitlines()[-1] == "1 goes on, 1 paused, 3 the provider is asked, 1 waits for settle resolve"

    for provider in HELD:
        house.ledger.open_gate(provider)
    house.worker("-P", "threads", "-c", "4")
    assert house.settle("restored").returncode == 6  # not beside a worker
    until(
        lambda: {_states(house)[job_id] for job_id in ("m-1", "q-1", "p-1")} == {"succeeded"}, "what was found goes on"
    )
    # Its line was done and taken down, or is of a session that the copy does not know: not found, and not sent again.
    assert house.ledger.get("t-1").state == "in_doubt"
    held = house.ledger.get("l-1")
    assert (held.state, held.wish, held.failure and held.failure.kind) == ("in_doubt", "pause", "restored")
    upload = 58_213  # the first id that the simulator gives
    assert house.settle("resolve", "l-1", "--remote-id", str(upload)).returncode == 0
    until(lambda: _states(house)["l-1"] == "succeeded", "the upload that a person found")
    assert house.ledger.get("p-2").wish == "pause"
    assert house.settle("cancel", "p-2").returncode == 0
    until(lambda: house.ledger.get("p-2").finished, "the job whose link had been started")
    assert set(_submits(house).values()) == {1}
    assert all(not book.doubles for book in house.sim.account().providers.values())
