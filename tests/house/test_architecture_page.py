"""docs/architecture.md against the code: what it names is there, and what is there has a name in it."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from celery import Celery

import tasks
import workflows
from config.settings import Settings
from jobs.states import JobState
from providers import installed
from providers.base import Operation, Provider
from providers.settings import ProviderSettings
from tasks.ways import WORKFLOWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
QUOTED = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S))
MAP = PAGE.split("## The house")[1].split("```")[1]


def _tasks() -> list[str]:
    """The names of all of Settle's tasks."""
    for package in (tasks, workflows):
        for found in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{found.name}")
    app = Celery(set_as_current=False)
    app.finalize()
    return sorted(name for name in app.tasks if name.startswith("settle."))


TASKS = _tasks()
#: Entry tasks are on the page of workflows.
STAGES = [name for name in TASKS if name.removeprefix("settle.") not in WORKFLOWS]


def test_every_package_is_in_the_map_and_no_other() -> None:
    """The first thing that a newcomer reads. What callers use stands beside what the wheel holds."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(re.findall(r"^(\w+)/", MAP, re.M)) == {*packages["packages"], "client", "examples"}


def test_every_file_that_it_names_exists() -> None:
    """Modules, scripts and pages by their path."""
    paths = [token for token in QUOTED if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?|\w+(/|\.py)", token)]
    assert len(paths) > 12
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "workflows" / path).exists(), path


def test_every_setting_that_it_names_exists() -> None:
    """With the prefix, or as the field of a provider in capitals."""
    fields = {name for provider in Provider.__subclasses__() for name in provider.settings_type.model_fields}
    capitals = [token for token in QUOTED if re.fullmatch(r"[A-Z]+(_[A-Z]+)+(=\w+)?", token)]
    assert len(capitals) >= 4
    for token in capitals:
        name = token.partition("=")[0].lower()
        known = fields | {*ProviderSettings.model_fields, *(f"settle_{each}" for each in Settings.model_fields)}
        assert name in known, token


def test_every_hook_of_an_operation_that_it_names_exists() -> None:
    """`Operation.locate` and the like."""
    hooks = [token.partition(".")[2] for token in QUOTED if re.fullmatch(r"Operation\.\w+", token)]
    assert len(hooks) >= 4
    assert all(hasattr(Operation, hook) for hook in hooks), hooks


@pytest.mark.parametrize("stage", STAGES)
def test_every_task_has_its_place(stage: str) -> None:
    """Each stage, and each task that wakes or carries one."""
    short = stage.removeprefix("settle.")
    assert re.search(rf"`(settle\.)?{short}`|\b{short}\.si\(|tasks/{short}\.py", PAGE), f"say of {stage} what it does"


def test_every_task_that_it_names_exists() -> None:
    """A renamed one would be searched for in vain; groups of entry points look the same."""
    for token in QUOTED:
        if re.fullmatch(r"settle\.\w+(\.\w+)?", token):
            assert token in {*TASKS, installed.PROVIDERS, installed.WORKFLOWS}, token


def test_every_state_that_it_names_exists() -> None:
    """Where the text says that a job is somewhere, or moves."""
    states = {state.value for state in JobState}
    moves = [move for token in QUOTED if (move := re.fullmatch(r"(\w+) → (\w+)", token))]
    assert moves
    for move in moves:
        assert {move[1], move[2]} <= states, move[0]
