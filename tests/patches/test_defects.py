"""Each patch cures its defect, and the defect is still there without it.

When the first half of a test fails, upstream is cured: remove the patch, its scene and its test, and raise the lower
bound of the library in `pyproject.toml`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patches import PATCHES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def seen() -> dict[str, tuple[Any, Any]]:
    """What each scene saw before `patch_once()` and after, in a process of its own."""
    command = [sys.executable, "-m", "tests.patches.scenes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return {name: (before, after) for name, (before, after) in json.loads(done.stdout).items()}


def test_every_patch_has_a_scene(seen: dict[str, tuple[Any, Any]]) -> None:
    """And every scene is of a patch."""
    assert seen.keys() == {patch.name for patch in PATCHES}


def test_a_lost_connection_with_an_unacknowledged_message(seen: dict[str, tuple[Any, Any]]) -> None:
    """kombu raises an error that nobody catches; with the patch the connection is closed."""
    before, after = seen["kombu.detached-channel"]
    assert before == "'NoneType' object has no attribute 'hostname'"
    assert after == "closed"


def test_a_lost_acknowledgement_costs_no_place(seen: dict[str, tuple[Any, Any]]) -> None:
    """A worker that may hold one message asks for the next although the acknowledgement never arrived."""
    before, after = seen["kombu.lost-acknowledgement"]
    assert before == {"before": False, "logged": 1, "after": False}
    assert after == {"before": False, "logged": 1, "after": True}


def test_a_channel_keeps_its_client(seen: dict[str, tuple[Any, Any]]) -> None:
    """kombu makes one for each command. With another pool of connections comes another client."""
    before, after = seen["kombu.kept-client"]
    assert before == {"same": False, "own pool": True}
    assert after == {"same": True, "own pool": True}


def test_each_broker_is_verified_by_its_own_name(seen: dict[str, tuple[Any, Any]]) -> None:
    """Also the second one, after the first did not answer; and by the name in the address, not the number behind it."""
    before, after = seen["kombu.server-name"]
    assert before == ["one", "one", "one"]
    assert after == ["one", "localhost", "localhost"]


def test_a_worker_looks_for_its_broker_every_two_seconds(seen: dict[str, tuple[Any, Any]]) -> None:
    """Celery waits longer each time."""
    before, after = seen["celery.reconnect-interval"]
    assert before == [2, 4, 6, 8, 10]
    assert after == [2, 2, 2, 2, 2]


def test_a_worker_tells_no_passwords(seen: dict[str, tuple[Any, Any]]) -> None:
    """Celery masks those of Redis itself; the name of the primary may be seen."""
    before, after = seen["celery.stats-passwords"]
    assert before == {"name": "ledger", "shown": ["of-the-sentinels"]}
    assert after == {"name": "ledger", "shown": []}


def test_a_server_that_is_not_the_primary_is_a_lost_connection(seen: dict[str, tuple[Any, Any]]) -> None:
    """So that a worker connects again instead of ending; a mistake of ours stays one."""
    before, after = seen["redis.not-the-primary"]
    assert before == {"UNBLOCKED": "ResponseError", "NOREPLICAS": "ResponseError", "ERR": "ResponseError"}
    assert after == {"UNBLOCKED": "ConnectionError", "NOREPLICAS": "ConnectionError", "ERR": "ResponseError"}


def test_a_command_is_tried_again_at_the_next_primary(seen: dict[str, tuple[Any, Any]]) -> None:
    """redis-py tries it again at the one that is gone."""
    before, after = seen["redis.ask-sentinels-again"]
    assert before == "ConnectionError"
    assert after == "new"


def test_a_sentinel_that_is_gone_is_asked_once(seen: dict[str, tuple[Any, Any]]) -> None:
    """By threads and on an event loop; redis-py asks again, and waits in between."""
    before, after = seen["redis.ask-each-sentinel-once"]
    assert all(each["asked"] > 1 and each["waits"] for each in before)
    assert after == [{"asked": 1, "waits": False}] * 2
