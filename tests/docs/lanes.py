"""Blocks that are lanes of CI: whether .ci/run runs what they say."""

from __future__ import annotations

import re

from tests.docs.blocks import ROOT
from tests.docs.console import commands

#: What a note names for them.
LANES = ".ci/run"


def targets(script: str) -> set[str]:
    """The targets that a script makes, whatever its environment says."""
    found = re.findall(r"^(?:say .*?;\s*)?make +(.*)$", script, re.M)
    return {word for line in found for word in line.split("=")[0].split() if word.islower()}


def prerequisites(target: str, makefile: str) -> list[str]:
    """What a target stands for, if it does nothing else; none for one that has a recipe."""
    found = re.search(rf"^{re.escape(target)}:([^#\n]*)(?:##.*)?\n(\t)?", makefile, re.M)
    return found[1].split() if found and not found[2] else []


def fault(code: str) -> str | None:
    """What of a block CI does not run: each command is `make`, with targets that CI makes, or that stand for such."""
    made = targets((ROOT / LANES).read_text())
    makefile = (ROOT / "Makefile").read_text()
    for command in commands(code):
        program, *words = command.text.partition("#")[0].split()
        if program != "make" or not words:
            return f"{command.text}: {LANES} has no such line"
        for word in words:
            lost = [each for each in prerequisites(word, makefile) or [word] if each not in made]
            if word not in made and lost:
                return f"make {word}: {LANES} does not make {', '.join(lost)}"
    return None
