"""The schedules that `SETTLE_SCHEDULES` names: read once, and refused as a whole if one is wrong.

A file in TOML, or JSON, with a table per schedule::

    [nightly]
    workflow = "lettrlabs.convert"
    crontab = "0 3 * * *"
    kwargs = { conversions = [{ primaryEmail = "ines@example.org", revenue = 1 }] }
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.settings import CoreSettings
from jobs.errors import ConfigurationError, InvalidJob
from providers.trigger import problems
from tasks.intake import validate
from tasks.ways import WORKFLOWS
from workflows.acts import workflow_known
from workflows.schedules.crontab import Crontab, tick_id

#: The tag by which the jobs of a schedule are found.
TAG = "schedule"
#: In a value: a text with the directives of `strftime`, filled with the time of the tick.
TICK = "$tick"
#: A tick counts for so long in any case, seconds: a beat that is started again in its minute starts its job.
SOON = 60.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Entry(BaseModel):
    """One schedule, as it stands in the file. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    workflow: str = Field(description="what is triggered, as in myipr.certify")
    crontab: str = Field(description="minute, hour, day of month, month, day of week")
    timezone: str = Field("UTC", description="in which the crontab is read, as in Europe/Berlin")
    catch_up: float = Field(0.0, ge=0, le=86400, description="a tick that was missed is started up to so much later")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="keyword arguments, tags and deadline among them")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that is right.

    Args:
        name: of its table.
        workflow: what is triggered.
        crontab: when.
        zone: in which the crontab is read.
        text: the crontab, as it was written.
        kwargs: keyword arguments, with `$tick` where the time is to stand.
        late: a tick counts for so long, seconds.
    """

    name: str
    workflow: str
    crontab: Crontab
    zone: ZoneInfo
    text: str
    kwargs: Mapping[str, Any]
    late: float

    @property
    def provider(self) -> str:
        """The provider of its jobs."""
        return self.workflow.partition(".")[0]

    def job_id(self, tick: int) -> str:
        """The id of the job of a tick."""
        return tick_id(self.name, tick)

    def body(self, tick: int) -> dict[str, Any]:
        """The keyword arguments of the job of a tick.

        Raises:
            ValueError: a `$tick` is not as it should be.
        """
        filled = _filled(dict(self.kwargs), datetime.fromtimestamp(tick, self.zone))
        return {**filled, "tags": {**filled.get("tags", {}), TAG: self.name}}


def _filled(value: Any, tick: datetime) -> Any:
    """The same JSON with the time of the tick in its places."""
    if isinstance(value, Mapping):
        if TICK in value:
            if len(value) > 1 or not isinstance(value[TICK], str):
                raise ValueError(f'{TICK}: give it alone, with a text for strftime: {{"{TICK}": "%Y-%m-%d"}}')
            return tick.strftime(value[TICK])
        return {name: _filled(each, tick) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, tick) for each in value]
    return value


def configured(settings: CoreSettings) -> list[Schedule]:
    """The schedules of the file that is set. All workflows must be loaded.

    Raises:
        ConfigurationError: none is set, it cannot be read, or one of them is wrong; the message names the field.
    """
    if settings.schedules is None:
        raise ConfigurationError("no schedules: set SETTLE_SCHEDULES to a TOML or JSON file, see docs/schedules.md")
    return read(settings.schedules, longest=settings.retention, allowed=settings.link_queues)


def read(path: Path, *, longest: float, allowed: Collection[str] | None = None) -> list[Schedule]:
    """The schedules of a file, by their names.

    Args:
        path: of the file; JSON if it ends in .json, else TOML.
        longest: nothing may be caught up for longer, seconds: by then an id may be forgotten, and a job start twice.
        allowed: the only queues that links may name; any if not given.

    Raises:
        ConfigurationError: it cannot be read, or one of them is wrong; the message names the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"SETTLE_SCHEDULES: {path} cannot be read ({error.strerror})") from None
    except ValueError as error:  # where it is wrong, not what stands there
        place = re.search(r"line \d+", str(error))
        raise ConfigurationError(
            f"SETTLE_SCHEDULES: {path.name} is neither TOML nor JSON{f' at {place[0]}' if place else ''}"
        ) from None
    if not isinstance(tables, dict) or not tables:
        raise ConfigurationError(f"SETTLE_SCHEDULES: {path.name} has no schedule: give each a table with its name")
    found, wrong = [], []
    for name, table in tables.items():
        try:
            found.append(_schedule(name, table, longest, allowed))
        except ValueError as error:
            wrong.append(f"{name[:100]}.{error}")
    if wrong:
        raise ConfigurationError(f"{path.name}: {'; '.join(wrong)}")
    return sorted(found, key=lambda schedule: schedule.name)


def _schedule(name: str, table: Any, longest: float, allowed: Collection[str] | None) -> Schedule:
    """One schedule, with all that can be told of its jobs beforehand.

    Raises:
        ValueError: it is wrong; the message begins with the field.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("name: use 1 to 100 letters, digits, _ and -; it is part of the ids of jobs")
    try:
        entry = Entry.model_validate(table)
    except ValidationError as error:
        raise ValueError(problems(error, Entry)) from None
    if entry.catch_up >= longest:
        raise ValueError("catch_up: must be below SETTLE_RETENTION, or a job that was forgotten is started again")
    try:
        zone = ZoneInfo(entry.timezone)
    except (LookupError, OSError, ValueError):
        raise ValueError("timezone: not a time zone; use a name such as Europe/Berlin, or UTC") from None
    try:
        crontab = Crontab(entry.crontab, zone)
    except ValueError as error:
        raise ValueError(f"crontab: {error}") from None
    try:
        workflow = workflow_known(entry.workflow)
    except InvalidJob as error:
        raise ValueError(str(error)) from None
    schedule = Schedule(name, workflow, crontab, zone, entry.crontab, entry.kwargs, max(entry.catch_up, SOON))
    _check(schedule, allowed)
    return schedule


def _check(schedule: Schedule, allowed: Collection[str] | None) -> None:
    """Look at the body of a tick as its trigger would.

    Raises:
        ValueError: it can never work.
    """
    tags = schedule.kwargs.get("tags", {})
    if not isinstance(tags, dict) or TAG in tags:
        raise ValueError(f"kwargs.tags: give a table without {TAG}, which is the name of the schedule")
    tick = schedule.crontab.next(0.0) or 0
    try:
        validate(WORKFLOWS[schedule.workflow].request, (), schedule.body(tick), allowed=allowed)
    except (InvalidJob, ValueError) as error:
        raise ValueError(f"kwargs.{error}") from None
