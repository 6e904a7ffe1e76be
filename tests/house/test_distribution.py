"""What is published: its name, its licence, its types, and that no page gives it another name."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from zipfile import ZipFile

import pytest

from tests.packages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    assert built.name.startswith("settle_jobs-")
    return ZipFile(built)


def test_the_wheel_has_every_package_with_its_types(wheel: ZipFile) -> None:
    """Each with the marker that lets a type checker of another project look into it."""
    names = wheel.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_the_wheel_says_what_it_is(wheel: ZipFile) -> None:
    """Name, authors, addresses, and the licence with its text."""
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = email.message_from_bytes(wheel.read(metadata))
    assert (told["Name"], told["License-Expression"], told["Author"]) == (
        "settle-jobs",
        "Apache-2.0",
        "The Settle authors",
    )
    assert {address.partition(", ")[2] for address in told.get_all("Project-URL")} == {
        *PROJECT["project"]["urls"].values()
    }
    (licence,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    text = wheel.read(licence).decode()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright 2026 The Settle authors" in text


def test_the_client_is_licensed_alike() -> None:
    """Its wheel is made from its own folder, so the text lies there, too."""
    assert (ROOT / "client" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    for key in ("authors", "license", "urls"):
        assert CLIENT["project"][key] == PROJECT["project"][key]


def test_the_command_is_installed_once() -> None:
    """By the distribution `settle-jobs`, and under the name `settle`."""
    owners = {point.dist.name for point in entry_points(group="console_scripts", name="settle") if point.dist}
    assert owners == {"settle-jobs"}


def test_no_page_calls_the_distribution_settle() -> None:
    """On the public index that name belongs to somebody else."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "client").glob("*.md")]
    for path in [*pages, *(ROOT / "config").rglob("*.py")]:
        wrong = re.findall(
            r"""pip install .*\bsettle\b(?![-_/])|["'`]settle(?:\[\w+\]|[<>=~]=.*)["'`]""", path.read_text()
        )
        assert not wrong, f"{path.name}: {wrong}"
    assert not re.search(r'dependencies = \[[^\]]*"settle["\[]', (ROOT / "docs" / "add-a-provider.md").read_text())


def test_the_version_has_its_section_in_the_changelog() -> None:
    """With the day, below what is not released yet."""
    found = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert found[0] == ("Unreleased", "")
    assert found[1][0] == PROJECT["project"]["version"]
    assert all(day for _, day in found[1:])
