"""Files certified as a user would: a local one by `settle certify`, a stored one by a trigger, real workers between."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.myipr import MyIPRSettings
from providers.myipr.request import derived_name
from tests.waiting import until

from .conftest import House
from .test_robust import QUICK

pytestmark = pytest.mark.acceptance


def _will_take(house: House, seconds: float, job_id: str, content: bytes) -> None:
    """Minting may take ten minutes: with the slow clock behind Sentinel too long for a test."""
    name = derived_name(MyIPRSettings().name_prefix, hashlib.sha256(content).hexdigest(), job_id)
    house.sim.plan("myipr", name, outcome="success", duration=seconds)


@pytest.mark.every_broker
@pytest.mark.timeout(120)
def test_a_local_and_a_stored_file_are_certified(house: House, tmp_path: Path) -> None:
    """The command hashes the one, the worker the other: here the PDF that the first job stored."""
    house.worker("-P", "prefork", "-c", "2")
    work = tmp_path / "private name.bin"
    work.write_bytes(os.urandom(3_000_000))
    arguments = ["certify", str(work), "--category", "legal", "--id", "c-1", "--tag", "shop=7"]
    _will_take(house, 60, "c-1", work.read_bytes())

    done = house.settle(*arguments, "--wait", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    outcome = json.loads(done.stdout)
    assert outcome["result"]["hash"] == hashlib.sha256(work.read_bytes()).hexdigest()
    assert outcome["tags"] == {"shop": "7"}
    (certificate,) = outcome["artifacts"]
    content = Path(urlsplit(certificate["uri"]).path).read_bytes()
    assert content.startswith(b"%PDF")

    _will_take(house, 30, "c-2", content)
    second = house.send("myipr.certify", {"category": "Legal", "file": certificate["uri"]}, "c-2")
    assert second.get(timeout=40)["result"]["hash"] == hashlib.sha256(content).hexdigest()
    assert house.settle(*arguments).returncode == 0  # the same job
    work.write_bytes(b"another content")
    assert house.settle(*arguments).returncode == 6

    books = house.sim.account()["myipr"]
    assert sorted(job.submits for job in books.jobs.values()) == [1, 1]
    assert "private name" not in " ".join([*books.jobs, *house.log, str(house.redis.hgetall("settle:{myipr}:job:c-1"))])


@pytest.mark.timeout(120)
def test_a_file_waits_for_a_worker_with_the_storage(house: House, tmp_path: Path) -> None:
    """Workers that only submit and poll do not touch it; one that died while it hashed costs a lease."""
    stored = tmp_path / "artifacts" / "incoming" / "work.bin"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"x" * 1_000_000)
    house.worker("-P", "threads", "-Q", "celery,settle.submit,settle.poll", **QUICK)
    result = house.send("myipr.certify", {"category": "Legal", "file": "incoming/work.bin"}, "c-1")
    # Taken by a worker that died with it.
    assert until(lambda: house.redis.lpop("settle.files"), "the hand-over")
    assert house.ledger.get("c-1").message == "waits for its file to be hashed"
    assert house.ledger.get("c-1").state == "accepted"
    house.worker("-P", "threads", "-Q", "settle.files", **QUICK)
    assert result.get(timeout=60)["result"]["hash"] == hashlib.sha256(stored.read_bytes()).hexdigest()
    assert [job.submits for job in house.sim.account()["myipr"].jobs.values()] == [1]


@pytest.mark.timeout(120)
def test_what_cannot_be_certified_is_said_at_once(house: House, tmp_path: Path) -> None:
    """Exit 2, the field, no value, no job."""
    empty = tmp_path / "private-name"
    empty.touch()
    full = tmp_path / "full"
    full.write_bytes(b"x")
    cases = [
        ([str(full)], "category_id: give either category"),
        ([str(full), "--category", "Legal", "--category-id", "10"], "category_id: give either category"),
        ([str(full), "--category", "Legal", "--name", " private"], "name: "),
        ([str(full), "--category", "Legal", "--id", "a b"], "id: "),
        ([str(full), "--category", "Legal", "--tag", "private"], "tag: "),
        ([str(full), "--category", "Legal", "--deadline", "-1"], "deadline: "),
        ([str(tmp_path / "private-missing"), "--category", "Legal"], "file: there is no such file"),
        ([str(tmp_path), "--category", "Legal"], "file: there is no such file"),
        ([str(empty), "--category", "Legal"], "file: it is empty"),
    ]
    for arguments, said in cases:
        done = house.settle("certify", *arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert "private" not in done.stderr
        assert "Traceback" not in done.stderr
    assert house.ledger.jobs("myipr") == []


@pytest.mark.timeout(120)
def test_the_doctor_asks_the_provider(house: House) -> None:
    """Fine, a setting to change, and a wrong key."""
    fine = house.settle("doctor", "--provider", "myipr")
    assert "fine: myipr: /categories by GET: Art, Legal" in fine.stdout, fine.stdout + fine.stderr
    house.sim.set_switches("myipr", categories_method="POST")
    other = house.settle("doctor", "--provider", "myipr", "--json")
    lines = [json.loads(line) for line in other.stdout.splitlines()]
    assert "SETTLE_MYIPR__CATEGORIES_METHOD=POST" in " ".join(line["remedy"] for line in lines)
    house.environment["SETTLE_MYIPR__API_KEY"] = "a-wrong-key"
    wrong = house.settle("doctor", "--provider", "myipr")
    assert wrong.returncode == 5
    assert "a-wrong-key" not in wrong.stdout + wrong.stderr
