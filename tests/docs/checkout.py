"""A checkout as a reader has it: the files of this repository, and what `make install` makes."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path

from tests.docs.blocks import ROOT

_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def copied(folder: Path) -> None:
    """Copy this working tree into a folder, as it is now, without what git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    there = "\0".join(name for name in names if (ROOT / name).is_file())
    packed = subprocess.run(
        ["tar", "c", "--null", "-T", "-"], cwd=ROOT, input=there.encode(), capture_output=True, check=True
    )
    subprocess.run(["tar", "x"], cwd=folder, input=packed.stdout, check=True)


def installed(folder: Path) -> Path:
    """An environment in its `.venv` that has every package of this one; returns its programs.

    What is installed into it stays in it. `make` finds it up to date.
    """
    venv.create(folder / ".venv")
    (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    programs = folder / ".venv" / "bin"
    (programs / "pip").write_text(_PIP)
    (programs / "pip").chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return programs
