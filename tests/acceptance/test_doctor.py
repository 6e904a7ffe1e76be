"""`settle doctor` with real workers: who answers, what they lack, and what they have differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.command.schema import checked
from tests.forked import python
from workflows.command.stack import Process, running

from .conftest import PYTHON, House

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]


def _doctor(house: House, *arguments: str, **settings: str) -> tuple[int, list[dict[str, Any]]]:
    environment = {**house.environment, "SETTLE_FLOWER__PASSWORD": "x", **settings}
    done = python("-m", "workflows.command", "doctor", "--json", *arguments, env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, checked("doctor", done.stdout)


def _wrong(findings: list[dict[str, Any]], subject: str) -> list[str]:
    return [each["what"] for each in findings if each["subject"] == subject and each["level"] != "fine"]


def test_a_whole_house_is_fine_and_each_lack_is_named(house: House) -> None:
    """First with half of the workers; then with all, one on a machine whose clock is wrong, and another key here."""
    house.worker("-Q", "settle.poll,settle.submit", "-P", "solo", SETTLE_LEASE="25")
    code, findings = _doctor(house, "--no-providers")
    lacks = _wrong(findings, "workers")
    assert code == 0
    assert [what.partition(":")[0] for what in lacks[:2]] == [
        "no worker consumes celery", "no worker consumes settle.files",
    ]  # fmt: skip
    assert lacks[2].startswith("the settings of core are not the same here")
    assert len(lacks) == 3

    command = [PYTHON, "-m", "tests.faults.shifted", "7", "worker", "-n", "shifted@%h", "-P", "solo"]
    environment = {**house.environment, "SETTLE_LEASE": "25"}
    shifted = Process("shifted", command, environment, lambda _, line: house.log.append(line))
    house.exits.enter_context(running(shifted))
    shifted.wait_for(" ready.")
    code, findings = _doctor(house, SETTLE_LEASE="25", SETTLE_MYIPR__API_KEY="another-key-than-theirs")
    assert "2 workers answer" in [each["what"] for each in findings]
    skew, keys = _wrong(findings, "workers")
    assert skew.startswith("the clock of shifted@")
    assert skew.endswith(" s ahead of that of Redis")
    assert keys.startswith("the settings of myipr are not the same here")
    asked = {each["what"].partition(":")[0] for each in findings if each["subject"] == "providers"}
    assert asked == {"commonsdb", "myipr", "unique_tokens", "lettrlabs"}
    assert code == 5  # the API refuses that key
    assert "another-key-than-theirs" not in json.dumps(findings)
