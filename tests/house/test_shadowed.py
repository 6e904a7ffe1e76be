"""Another module with the name of one of Settle's packages: the command and the workers name it and do not start."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import settle_jobs
from config.checks import Level
from config.checks.packages import packages
from tests.packages import ROOT

BIN = Path(sys.executable).parent
#: The packages whose absence would show only as an ImportError from somewhere.
NAMES = ("config", "jobs", "providers", "simulator", "tasks", "workflows")


def _foreign(folder: Path, name: str, kind: str) -> Path:
    """A module or package of a stranger."""
    place = folder / (f"{name}.py" if kind == "module" else f"{name}/__init__.py")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("raise SystemExit('a stranger runs')\n")
    return place


def _run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env={"SETTLE_REDIS_URL": "redis://127.0.0.1:1", "PATH": str(BIN), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_every_package_of_the_wheel_is_guarded() -> None:
    """A package that is added to the wheel is added to what is looked for."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*settle_jobs.PACKAGES, "settle_jobs"} == set(wheel["packages"])


@pytest.mark.parametrize("kind", ["module", "package"])
@pytest.mark.parametrize("name", NAMES)
def test_the_doctor_names_what_comes_first_on_the_path(name: str, kind: str, tmp_path: Path) -> None:
    """Whichever package is hidden, that of the command itself too: one line, no traceback, and no foreign code runs."""
    place = _foreign(tmp_path, name, kind)
    done = _run(tmp_path, BIN / "settle", "doctor", "--no-providers", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (5, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"settle: Python imports {place} as `{name}`, which hides the package of Settle.")
    assert "environment of its own" in line


def test_a_worker_in_a_folder_with_such_a_module_names_it(tmp_path: Path) -> None:
    """Celery puts the current folder first on the path, so no PYTHONPATH is needed for it."""
    place = _foreign(tmp_path, "tasks", "module")
    done = _run(tmp_path, BIN / "celery", "-A", "config.celery_app", "worker", "-Q", "celery")
    assert done.returncode != 0
    assert f"Python imports {place} as `tasks`" in done.stdout + done.stderr
    assert "a stranger runs" not in done.stdout + done.stderr


def test_a_folder_without_an_init_hides_nothing(tmp_path: Path) -> None:
    """Python prefers a package with one wherever it is on the path."""
    (tmp_path / "tasks").mkdir()
    assert _run(tmp_path, BIN / "settle", "--version", PYTHONPATH=str(tmp_path)).returncode == 0


def test_the_doctor_warns_of_the_folder_in_which_workers_are_started(tmp_path: Path) -> None:
    """The command itself is not hit; a worker would be."""
    place = _foreign(tmp_path, "config", "package")
    done = _run(tmp_path, BIN / "settle", "doctor", "--no-providers", "--json")
    (found,) = (line for line in map(json.loads, done.stdout.splitlines()) if line["subject"] == "packages")
    assert (found["level"], str(place) in found["what"]) == ("warning", True)


def test_the_doctor_names_a_distribution_with_the_same_names(tmp_path: Path) -> None:
    """In one environment the files of one overwrite those of the other."""
    owners = {"tasks": ["settle-jobs", "task-tools"], "config": ["settle-jobs"], "requests": ["requests"]}
    (found,) = packages(tmp_path, owners)
    assert (found.level, "task-tools installs a package `tasks`" in found.what) == (Level.WARNING, True)
    assert found.remedy


def test_a_checkout_is_no_stranger_to_itself() -> None:
    """Its own folders are the packages."""
    assert packages(ROOT, {}) == []
