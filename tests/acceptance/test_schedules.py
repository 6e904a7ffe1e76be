"""Two real beats on one ledger, one of them killed: each tick is one job, submitted once by the provider's books."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.states import JobState
from tests.waiting import until
from workflows.command.stack import Process, running

from .conftest import PYTHON, House

pytestmark = [pytest.mark.acceptance]

FILE = """
[letters]
workflow = "lettrlabs.convert"
crontab = "* * * * *"
catch_up = 1200
[letters.kwargs]
conversions = [{ orderId = { "$tick" = "SO-%H%M" }, primaryEmail = "ines@example.org", revenue = 12.5 }]
"""


def _beat(house: House, name: str) -> Process:
    code = "import runpy, sys; sys.argv[1:1] = []; runpy.run_module('tests.acceptance.quick_beat', run_name='__main__')"
    command = [PYTHON, "-c", code, house.environment["QUICK_START"]]
    environment = {**house.environment, "SETTLE_HEALTH_FILE": str(Path(house.environment["SETTLE_STATE_DIR"], name))}
    return Process(name, command, environment, lambda own, line: house.log.append(f"{own} {line}"))


def _started(house: House) -> list[str]:
    return sorted(event.job_id for event in house.ledger.events("lettrlabs") if event.source is None)


@pytest.mark.timeout(120)
def test_two_beats_and_one_of_them_is_killed(house: House, tmp_path: Path) -> None:
    """Every minute, on a clock whose minutes last a second; the third beat finds what the others have started."""
    file = tmp_path / "schedules.toml"
    file.write_text(FILE)
    house.environment.update(SETTLE_SCHEDULES=str(file), QUICK_START=repr(house.ledger.now()))
    house.sim.plan("lettrlabs", "*", outcome="success", duration=5)
    house.worker("-P", "threads", "-c", "2")
    first = _beat(house, "first")
    with running(first), running(_beat(house, "second")):
        until(lambda: {"first", "second"} <= {line.split()[0] for line in house.log if "tick_started" in line}, "both")
        until(lambda: len(_started(house)) >= 3, "three ticks")
        first.process.kill()
        with running(_beat(house, "third")):
            until(lambda: any(line.startswith("third") and "tick_started" in line for line in house.log), "the third")
            beyond = len(_started(house)) + 2
            until(lambda: len(_started(house)) >= beyond, "two ticks more")
    assert (tmp_path / "third").exists()  # it is alive, for the health check of a container
    started = _started(house)
    times = [datetime.strptime(job_id, "letters.%Y%m%dT%H%MZ").replace(tzinfo=UTC) for job_id in started]
    assert times == [times[0] + timedelta(minutes=number) for number in range(len(times))]  # none is missing
    answers = Counter(found[1] for line in house.log if (found := re.search(r"tick_started.* answer=(\w+)", line)))
    assert len(started) - 1 <= answers["created"] <= len(started)  # whoever is killed says nothing of it
    assert answers["same"] >= len(started) - 2  # the beats did try, each for itself
    until(lambda: all(house.ledger.get(job_id).state is JobState.SUCCEEDED for job_id in started), "their ends")
    books = house.sim.account()["lettrlabs"]
    assert {name: job.submits for name, job in books.jobs.items()} == {f"SO-{at:%H%M}": 1 for at in times}
    assert not books.doubles
    listed = house.settle("schedules", "--json", "--ticks", "1")
    assert json.loads(listed.stdout)["last"] == {"job_id": started[-1], "state": "succeeded"}, listed.stderr
