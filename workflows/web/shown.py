"""How times, ages and values look on the page."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from jobs.record import Job
from jobs.states import JobState

#: A value of a result that is longer is cut, characters.
_LONGEST = 20_000

_BADGES = {
    JobState.SUCCEEDED: "text-bg-success",
    JobState.FAILED: "text-bg-danger",
    JobState.EXPIRED: "text-bg-danger",
    JobState.IN_DOUBT: "text-bg-warning",
    JobState.CANCELLED: "text-bg-secondary",
}


def badge(state: JobState) -> str:
    """The classes of a state's badge."""
    return f"badge {_BADGES.get(state, 'task-state-started')}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size or unit == "min":
            return f"{seconds / size:.0f} {unit}"
    return ""


def ago(at: float | None) -> str:
    """How long ago a time was."""
    return "–" if at is None else duration(max(time.time() - at, 0.0))


def ahead(at: float | None) -> str:
    """How far ahead a time is."""
    if at is None:
        return "–"
    seconds = at - time.time()
    return f"in {duration(seconds)}" if seconds > 0 else "now"


def moment(at: float | None) -> str:
    """A time, in UTC."""
    return "–" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def data(value: Any) -> str:
    """A value of a result, as JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… and {len(text) - _LONGEST} characters more"


def remark(job: Job) -> str:
    """What there is to say about a job in a few words."""
    if job.failure:
        return job.failure.message
    if job.state is JobState.SUCCEEDED and job.artifacts:
        return ", ".join(f"{artifact.name} {artifact.verification}" for artifact in job.artifacts)
    return job.message or ""


def address(path: str, parameters: Mapping[str, Sequence[str] | str], **changes: str | None) -> str:
    """An address with parameters; a change replaces one, and none removes it."""
    kept = {name: value for name, value in parameters.items() if value and name not in changes}
    return f"{path}?{urlencode({**kept, **{k: v for k, v in changes.items() if v}}, doseq=True)}".rstrip("?")
