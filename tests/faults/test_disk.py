"""The storage refuses while a file is fetched: the job waits and says why, and goes on when there is space again."""

from __future__ import annotations

import resource
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.waiting import until

from .conftest import Sent, Ward

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

ENDLESS = resource.RLIM_INFINITY


def _refused(house: Ward, sent: Sent) -> str:
    """Wait until the job was refused twice and waits; the reason that a person sees."""

    def waits() -> str | None:
        job = house.job(sent)
        refused = job is not None and job.failure is not None and job.failure.kind == "storage" and job.attempts >= 2
        return job.failure.message if job and job.failure and refused else None

    message: str = until(waits, "the refusal of the storage", 30)
    assert house.state(sent) == "fetching"
    assert house.leftovers() == []
    return message


def _whole(house: Ward, sent: Sent) -> None:
    house.assert_ended_well_once([sent], 30)
    job = house.job(sent)
    assert job is not None
    stored = job.artifacts[0]
    path = Path(urlsplit(stored.uri or "").path)
    assert path.stat().st_size == stored.size == stored.stored_size
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert house.leftovers() == []


def test_the_disk_is_full(house: Ward) -> None:
    """No file can grow beyond a page: the fetch fails midway, nothing half-written remains; space brings it back."""
    worker = house.worker("-P", "threads", "-c", "2")
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (4096, ENDLESS))
    sent = house.produce("large", duration=10)
    assert _refused(house, sent) == "the storage refused: File too large"
    stored = Path(house.environment["SETTLE_STATE_DIR"]) / "artifacts"
    assert [path for path in stored.rglob("*") if path.is_file()] == []
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (ENDLESS, ENDLESS))
    _whole(house, sent)


def test_the_storage_is_not_there(house: Ward) -> None:
    """The folder of the artifacts cannot be made: the job waits, and finishes once it can."""
    blocked = Path(house.environment["SETTLE_STATE_DIR"]) / "artifacts"
    blocked.write_text("in the way")
    house.worker("-P", "threads", "-c", "2")
    sent = house.produce("nowhere", duration=10)
    assert "the storage refused" in _refused(house, sent)
    blocked.unlink()
    _whole(house, sent)
