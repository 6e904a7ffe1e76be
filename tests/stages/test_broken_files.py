"""What the stages do about files that cannot be fetched or stored."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.states import JobState
from providers.errors import (
    LostAnswer,
    Unavailable,
)

from .conftest import Stage
from .trouble import FILE, READY


def test_a_fetch_that_breaks_is_tried_again(stage: Stage) -> None:
    """An outage in the middle of a download costs time only."""
    stage.script.says("observe", READY)
    stage.script.says("download", LostAnswer("cut"), Unavailable("HTTP 500"), FILE[:3], FILE)
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("download") == 4


def test_a_full_disk_is_waited_out(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No space left: the job waits with the reason, nothing half-written stays, and goes on when there is space."""
    stage.script.says("observe", READY)
    stage.script.says("download", FILE)
    real = stage.run.storage.writing

    @contextmanager
    def full(path: str, mark: str) -> Any:
        with real(path, mark) as out:

            class _Full:
                def write(self, data: bytes) -> int:
                    raise OSError(errno.ENOSPC, "No space left on device")

            assert out
            yield _Full()

    monkeypatch.setattr(stage.run.storage, "writing", full)
    stage.trigger()
    job = stage.until(lambda job: job.attempts >= 3)
    assert job.state is JobState.FETCHING
    assert job.failure is not None
    assert "No space left" in job.failure.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(stage.run.storage, "writing", real)
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_fetch_that_never_works_fails_at_the_deadline(stage: Stage) -> None:
    """The provider's job succeeded, its file never came: failed, with the reason and what to do."""
    stage.script.says("observe", READY)
    stage.script.says("download", Unavailable("HTTP 500"))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.remedy
