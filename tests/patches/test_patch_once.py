"""Patches are applied once per process; an unknown version is named, and a function that looks different left alone."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import EllipsisType

import pytest

import patches
from config.checks import Level
from config.checks.libraries import libraries
from patches import PATCHES, Outcome, Patch, State, patch_once

BIN = Path(sys.executable).parent
TARGET = "tests.patches.test_patch_once:victim"


def victim(first: int, second: int = 0) -> int:
    """What the patches of these tests say that they change."""
    return first + second


Targets = Mapping[str, tuple[str | EllipsisType, ...]]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Outcome, ...]]:
    """Has this process patched anew, with one patch that changes nothing; returns what `patch_once` did."""

    def patched(versions: tuple[str, ...], targets: Targets, applied: list[str] | None = None) -> tuple[Outcome, ...]:
        log = applied if applied is not None else []
        patch = Patch("kombu.example", "kombu", versions, targets, lambda: log.append("applied"))
        monkeypatch.setattr(patches, "PATCHES", (patch,))
        monkeypatch.setattr(patches, "_outcomes", None)
        return patch_once()

    return patched


@pytest.mark.parametrize(
    ("targets", "fits"),
    [
        ({TARGET: ("first", "second")}, True),
        ({TARGET: ("first", ...)}, True),
        ({TARGET: (...,)}, True),
        ({TARGET: ("first",)}, False),
        ({TARGET: ("second", ...)}, False),
        ({TARGET: ("first", "second", "third", ...)}, False),
        ({f"{TARGET}_of_another_version": (...,)}, False),
        ({"tests.patches.no_such_module:victim": (...,)}, False),
        ({"tests.patches.test_patch_once:ROOT": (...,)}, False),
        ({TARGET: ("first", "second"), f"{TARGET}_gone": (...,)}, False),
    ],
)
def test_a_patch_fits_what_it_was_written_for(targets: Targets, fits: bool) -> None:
    """Every function is there, with the parameters that the patch knows."""
    assert Patch("kombu.example", "kombu", (), targets, lambda: None).fits == fits


def test_a_known_version_is_patched_without_a_word(
    fresh: Callable[..., tuple[Outcome, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    """Once per process, however often it is asked for."""
    applied: list[str] = []
    (found,) = fresh((version("kombu"),), {TARGET: ("first", "second")}, applied)
    assert (found.state, found.version) == (State.VERIFIED, version("kombu"))
    assert patch_once() == patch_once() == (found,)
    assert applied == ["applied"]
    assert not caplog.records


def test_an_unknown_version_is_patched_and_named(
    fresh: Callable[..., tuple[Outcome, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    """The warning stands in the message itself: it comes before logging is set up."""
    applied: list[str] = []
    (found,) = fresh(("0.1", "0.2"), {TARGET: ("first", ...)}, applied)
    assert (found.state, applied) == (State.UNVERIFIED, ["applied"])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    about = f"patch=kombu.example library=kombu version={version('kombu')} known_versions=0.1,0.2"
    assert record.getMessage() == f"patch_not_verified {about}"


def test_a_function_that_looks_different_is_left_alone(
    fresh: Callable[..., tuple[Outcome, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    """And that is an error in the log: its defect is back."""
    applied: list[str] = []
    (found,) = fresh(("0.1",), {TARGET: ("first",)}, applied)
    assert (found.state, applied) == (State.SKIPPED, [])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("patch_not_applied patch=kombu.example library=kombu")


def test_the_pinned_versions_are_known() -> None:
    """And what each patch says of its targets is true of them."""
    assert [patch.name for patch in PATCHES if version(patch.library) not in patch.versions] == []
    assert [patch.name for patch in PATCHES if not patch.fits] == []


def test_names_and_targets_are_of_the_library() -> None:
    """Each name begins with its library, is there once, and its function's docstring tells the defect."""
    assert len({patch.name for patch in PATCHES}) == len(PATCHES)
    for patch in PATCHES:
        assert patch.name.startswith(f"{patch.library}.")
        assert all(target.startswith((f"{patch.library}.", f"{patch.library}:")) for target in patch.targets)
        assert "Defect: " in (patch.apply.__doc__ or "")


def test_the_doctor_names_what_is_not_verified() -> None:
    """And says nothing of what is."""
    patch = replace(PATCHES[0], versions=("5.6.9", "5.7.0"))
    outcomes = [Outcome(patch, "5.7.99", state) for state in State]
    unverified, skipped = libraries(outcomes)
    assert {unverified.level, skipped.level} == {Level.WARNING}
    assert unverified.what.startswith(f"kombu 5.7.99: the patch {patch.name} is applied, but")
    assert skipped.what.startswith(f"kombu 5.7.99: the patch {patch.name} cannot be applied")
    assert unverified.remedy.startswith("install kombu==5.7.0")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """In which kombu says that it is of a version to come, and no server answers."""
    folder = tmp_path / "kombu-5.7.99.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: kombu\nVersion: 5.7.99\n")
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(tmp_path),
        "SETTLE_REDIS_URL": "redis://127.0.0.1:1/0",
        "SETTLE_FLOWER__PASSWORD": "secret",
        "SETTLE_STORAGE_URL": str(tmp_path / "artifacts"),
    }


@pytest.mark.parametrize(
    "command",
    [["celery", "-A", "config.celery_app", "worker", "-P", "solo"], ["settle", "beat"], ["settle", "flower"]],
    ids=["worker", "beat", "flower"],
)
def test_a_process_warns_as_it_starts(command: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    """One line for each patch of the library, on standard error."""
    expected = [patch.name for patch in PATCHES if patch.library == "kombu"]
    with subprocess.Popen(
        [str(BIN / command[0]), *command[1:]], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = (line for line in process.stderr if line.startswith("patch_not_verified"))
        warned = list(itertools.islice(lines, len(expected)))
        process.kill()
    assert [line.split()[1] for line in warned] == [f"patch={name}" for name in expected]
    assert all("library=kombu version=5.7.99" in line for line in warned)


def test_the_doctor_command_has_them(environment: dict[str, str], tmp_path: Path) -> None:
    """Among its findings, without Redis too."""
    command = [str(BIN / "settle"), "doctor", "--no-providers", "--json"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    found = [finding["what"] for finding in findings if finding["subject"] == "libraries"]
    assert len(found) == len([patch for patch in PATCHES if patch.library == "kombu"]), done.stderr
    assert all(what.startswith("kombu 5.7.99: the patch kombu.") for what in found)
