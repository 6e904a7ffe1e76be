"""Packages of third parties, installed for a test as pip installs them: into a folder that is put on the path."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: Path) -> dict[str, str]:
    """The code of a page by file: each block whose first line is a comment with the file's name."""
    found = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", page.read_text(), re.M | re.S)
    return dict(found)


def install(files: Mapping[str, str], source: Path, target: Path) -> None:
    """Write a package's files and install it.

    Args:
        files: its files by their path below `source`, `pyproject.toml` among them.
        source: a new folder for them.
        target: the folder that is put on the path; several packages may share it.
    """
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--no-compile", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def tiny(name: str, *, providers: str = "", workflows: str = "", **modules: str) -> dict[str, str]:
    """The files of a package of one folder.

    Args:
        name: of the package.
        providers: the value of its entry point for a provider, if it has one.
        workflows: likewise for workflows.
        modules: its modules by name.
    """
    points = {"settle.providers": providers, "settle.workflows": workflows}
    entries = "".join(f'[project.entry-points."{group}"]\nit = "{value}"\n' for group, value in points.items() if value)
    project = (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n{entries}'
        f'[tool.hatch.build.targets.wheel]\npackages = ["{name.replace("-", "_")}"]\n'
    )
    folder = name.replace("-", "_")
    files = {"pyproject.toml": project, f"{folder}/__init__.py": ""}
    return files | {f"{folder}/{module}.py": code for module, code in modules.items()}
