"""Bulk input as a script would use it: a CSV file of records, a second run of it, and one line that is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from simulator import samples

from .conftest import House

pytestmark = pytest.mark.acceptance

#: Which of the records the simulator finds fault with; Settle does not: the address has no domain.
REJECTED = 7


@pytest.mark.every_broker
@pytest.mark.timeout(180)
def test_a_file_of_records_is_uploaded_once(house: House, tmp_path: Path) -> None:
    """Two jobs, a report record by record; the second run makes no job, and the provider sees no POST."""
    house.worker("-P", "threads", "-c", "2")
    source, report = tmp_path / "conversions.csv", tmp_path / "report.csv"
    with source.open("w", newline="") as target:
        table = csv.writer(target)
        table.writerow(["orderId", "revenue", "primaryEmail", "primaryAddress.city"])
        for number in range(30):
            email = "private@nowhere" if number == REJECTED else f"private{number}@example.test"
            table.writerow([f"SO-{number}", f"{number}.5", email, "Two Rivers"])
    command = ("submit", "lettrlabs.convert", "--input", str(source), "--batch", "20", "--report", str(report))

    done = house.settle(*command, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["lines"], told["jobs"], told["outcomes"]) == (30, {"created": 2}, {"succeeded": 2})
    with report.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["record"] for row in rows] == ["rejected" if n == REJECTED else "accepted" for n in range(30)]
    assert [row["line"] for row in rows] == [str(number) for number in range(2, 32)]
    assert {row["outcome"] for row in rows} == {"succeeded"}
    assert "private" not in report.read_text() + done.stdout + done.stderr + "\n".join(house.log)

    again = house.settle(*command, "--wait", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["jobs"] == {"same": 2}
    assert sum(house.sim.account()["lettrlabs"].requests["create_conversions"].values()) == 2


@pytest.mark.timeout(120)
def test_one_bad_line_sends_nothing(house: House, tmp_path: Path) -> None:
    """Exit code 2 and the line; with --skip-bad the others go."""
    works = tmp_path / "works.jsonl"
    good = [json.dumps({"declaration": samples.declaration(name=f"work {number}")}) for number in range(3)]
    works.write_text("\n".join([good[0], '{"declaration": "private text"}', *good[1:]]))
    done = house.settle("submit", "commonsdb.declare", "--input", str(works))
    assert done.returncode == 2
    assert "settle: line 2: declaration: " in done.stderr
    assert "private" not in done.stderr
    assert house.ledger.jobs("commonsdb") == []
    done = house.settle("submit", "commonsdb.declare", "--input", str(works), "--skip-bad", "--tag", "shop=7")
    assert (done.returncode, done.stdout) == (0, "4 lines, 1 invalid; jobs: 3 created\n")
    assert [job.tags for job in house.ledger.jobs("commonsdb")] == [{"shop": "7"}] * 3
    piped = house.settle("submit", "commonsdb.declare", "--input", "-", "--format", "jsonl")
    assert (piped.returncode, "give a file, not a pipe" in piped.stderr) == (2, True)
