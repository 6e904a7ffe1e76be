"""Unique Tokens as a caller sees it: an own alphabet, gz, the analysis, three parts of one line, and the tidy end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import JobFailed
from simulator import samples
from tests.waiting import until
from workflows.command.stack import Process

from .conftest import House
from .test_robust import QUICK

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
OWN = {"alphabet": "readable", "chars": "ACDEFGHJKLMNPQRTUVWXY3479", "digits": 12}


def order(house: House, name: str, **more: Any) -> dict[str, Any]:
    """A paid order that takes a while."""
    paid = samples.payment(name)
    house.sim.plan("unique_tokens", paid["ident"], outcome="success", duration=30)
    return {"size": 2000, "payment": {"id": paid["id"], "ident": paid["ident"]}, "seed": SEED, **more}


def files(outcome: dict[str, Any]) -> dict[str, bytes]:
    """The stored files of a job by name, and whether they are as the outcome says."""
    found = {}
    for artifact in outcome["artifacts"]:
        found[artifact["name"]] = content = Path(artifact["uri"].removeprefix("file://")).read_bytes()
        assert artifact["size"] == len(content)
    return found


def end_of(house: House, name: str) -> tuple[int, str | None]:
    """How often an order was accepted, and what became of its line."""
    job = house.sim.account()["unique_tokens"].jobs[samples.payment(name)["ident"]]
    return job.accepted, job.outcome


@pytest.mark.every_broker
def test_three_parts_with_everything(house: House) -> None:
    """Each a job of its own that names the one before; packed or plain, analysed or not; no token comes twice."""
    house.environment.update(QUICK)
    house.sim.set_switches("unique_tokens", error_http="as_success", frozen_parts=True, digest_rule="hmac")
    house.worker("-P", "threads", "-c", "4")
    first = house.send("unique_tokens.produce", order(house, "p-1", **OWN, snapshot=True, format="gz"), "p-1")
    outcomes = [first.get(timeout=40)]
    for name, former, more in (("p-2", "p-1", {"snapshot": True}), ("p-3", "p-2", {"analysis": "metrics"})):
        sent = house.send("unique_tokens.continue", order(house, name, former=former, **more), name)
        outcomes.append(sent.get(timeout=40))
    stored = [files(outcome) for outcome in outcomes]
    assert [sorted(names) for names in stored] == [
        ["snapshot.blob", "tokens.txt.gz"],
        ["snapshot.blob", "tokens.txt"],
        ["analysis.json", "delta.csv", "score.csv", "tokens.txt"],
    ]
    tokens = [gzip.decompress(stored[0]["tokens.txt.gz"]), stored[1]["tokens.txt"], stored[2]["tokens.txt"]]
    lines = [line for content in tokens for line in content.decode().split("\n")]
    assert (len(lines), len(set(lines)), set("".join(lines))) == (6000, 6000, set(OWN["chars"]))
    for outcome in outcomes:
        assert outcome["result"]["dismantled"] is True
        for artifact in outcome["artifacts"]:
            assert artifact["verification"] == ("unverified" if artifact["name"] == "analysis.json" else "verified")
            assert artifact.get("distinct", False) is artifact["name"].startswith("tokens")
    assert [outcome["result"].get("former") for outcome in outcomes] == [None, "p-1", "p-2"]
    assert {end_of(house, name) for name in ("p-1", "p-2", "p-3")} == {(1, "deleted")}
    secrets = [SEED, *(samples.payment(name)["ident"] for name in ("p-1", "p-2", "p-3"))]
    shown = json.dumps(outcomes) + "".join(house.log)
    assert [secret for secret in secrets if secret in shown] == []
    late = house.send("unique_tokens.continue", order(house, "p-4", former="p-1"), "p-4")
    with pytest.raises(JobFailed, match="p-2 continues this job already"):
        late.get(timeout=40)
    assert samples.payment("p-4")["ident"] not in house.sim.account()["unique_tokens"].jobs  # nobody asked for it


def test_a_token_that_comes_twice(house: House) -> None:
    """Right by size, lines and digest: the job fails, and its line is kept for whoever takes it up."""
    house.environment.update(QUICK)
    house.sim.set_switches("unique_tokens", repeat_token=True)
    house.worker("-P", "threads", "-c", "2")
    sent = house.send("unique_tokens.produce", order(house, "twice", alphabet="BASE62", digits=10), "twice")
    with pytest.raises(JobFailed, match="comes twice"):
        sent.get(timeout=40)
    assert end_of(house, "twice") == (1, "succeeded")


def test_a_line_that_cannot_be_dismantled(house: House) -> None:
    """The outcome comes all the same, and says so."""
    house.environment.update(QUICK)
    house.sim.fault("unique_tokens", "500", operation="delete_tokens")
    house.worker("-P", "threads", "-c", "2")
    sent = house.send("unique_tokens.produce", order(house, "stays", alphabet="BASE62", digits=10), "stays")
    assert sent.get(timeout=60)["result"]["dismantled"] is False
    assert end_of(house, "stays") == (1, "succeeded")
    assert house.sim.account()["unique_tokens"].requests["delete_tokens"] == {"500": 4}


@pytest.mark.parametrize("point", ["emit.before_write", "emit.after_tidy"])
def test_a_worker_dies_while_it_tidies_up(house: House, tmp_path: Path, point: str) -> None:
    """Another one finishes: the line is gone, the outcome told, nothing ordered twice."""
    token = tmp_path / "token"
    token.touch()
    house.environment.update(QUICK, SETTLE_FAIL_POINT=f"{point}:{token}")
    workers: list[Process] = [house.worker("-P", "threads", "-c", "2", name=name) for name in ("one", "two")]
    sent = house.send("unique_tokens.produce", order(house, point, alphabet="BASE62", digits=10), point)
    until(lambda: not token.exists(), "a death")
    assert sent.get(timeout=40)["result"]["dismantled"] is True
    assert sorted(worker.process.poll() is None for worker in workers) == [False, True]
    assert end_of(house, point) == (1, "deleted")
