"""The drawing in the documentation shows the table of moves, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.states import MOVES, TERMINAL, JobState

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
TABLE = {(source.value, target.value) for source, targets in MOVES.items() for target in targets}

Arrows = set[tuple[str, str]]


def diagram_of(text: str) -> str:
    """The first state diagram of a page."""
    for block in re.findall(r"^```mermaid[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if re.match(r"\s*stateDiagram", block):
            return str(block)
    raise AssertionError("the page has no mermaid block that begins with stateDiagram")


def arrows_of(diagram: str) -> tuple[Arrows, Arrows]:
    """The arrows between states, and those from the beginning or to the end."""
    found = re.findall(r"^[ \t]*(\[\*\]|\w+)[ \t]*-->[ \t]*(\[\*\]|\w+)[ \t]*(?::.*)?$", diagram, re.MULTILINE)
    assert len(found) == diagram.count("-->"), "an arrow that cannot be read"
    assert len(found) == len(set(found)), "an arrow is drawn twice"
    marks = {arrow for arrow in found if "[*]" in arrow}
    return set(found) - marks, marks


def drawing() -> str:
    """The block as it should stand in the page."""
    lines = ["stateDiagram-v2", "    [*] --> accepted"]
    for source, targets in MOVES.items():
        lines += [f"    {source} --> {target}" for target in JobState if target in targets]
    lines += [f"    {state} --> [*]" for state in JobState if state in TERMINAL]
    return "\n".join(lines) + "\n"


def test_the_drawing_shows_the_table() -> None:
    """Each arrow of the page is a move of the table, and each move has its arrow."""
    assert PAGE.is_file(), f"{PAGE.name} is missing; its state diagram should be:\n{drawing()}"
    arrows, _ = arrows_of(diagram_of(PAGE.read_text(encoding="utf-8")))
    assert arrows == TABLE, f"the state diagram should be:\n{drawing()}"


def test_the_drawing_begins_and_ends_right() -> None:
    """A job begins as accepted; what the drawing calls an end is one."""
    assert PAGE.is_file(), f"{PAGE.name} is missing"
    _, marks = arrows_of(diagram_of(PAGE.read_text(encoding="utf-8")))
    assert marks == {("[*]", "accepted"), *((state.value, "[*]") for state in TERMINAL)}


def test_the_reader_reads_the_proposed_drawing() -> None:
    """What the failing test proposes would pass."""
    blocks = ["graph LR\n  a --> b\n", drawing(), "stateDiagram-v2\n"]
    page = "# Page\n" + "".join(f"\n```mermaid\n{block}```\n" for block in blocks)
    arrows, marks = arrows_of(diagram_of(page))
    assert arrows == TABLE
    assert len(marks) == 1 + len(TERMINAL)


@pytest.mark.parametrize(
    "change",
    [
        ("    accepted --> submitting\n", ""),
        ("    accepted --> submitting\n", "    accepted --> submitting\n    accepted --> polling : never\n"),
        ("    accepted --> submitting\n", "    accepted --> submiting\n"),
    ],
)
def test_a_wrong_drawing_is_noticed(change: tuple[str, str]) -> None:
    """A missing, an additional and a misspelt arrow differ from the table."""
    arrows, _ = arrows_of(drawing().replace(*change))
    assert arrows != TABLE


def test_labels_do_not_matter() -> None:
    """An arrow may say who goes along it."""
    assert arrows_of("stateDiagram-v2\n  polling-->fetching : poll, files\n") == ({("polling", "fetching")}, set())
