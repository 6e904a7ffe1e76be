"""Finds every fenced block of README.md, SECURITY.md, CONTRIBUTING.md and docs/, with the notes before it.

A note is an HTML comment right before a block, `<!-- word: text -->`; it says what the test does with that block. The
table in CONTRIBUTING.md explains the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]

_ABOVE = ("README.md", "SECURITY.md", "CONTRIBUTING.md")

#: What a note may say.
NOTES = ("in", "run by", "quoted from", "file", "body of", "stays open", "fails", "job fails", "given", "stored")

#: Where a page may be run, other than in an empty folder.
CHECKOUT = "a checkout"

_NOTE = re.compile(r"<!--\s*([a-z ]+?):\s*(.*?)\s*-->", re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Args:
        page: the file it is in.
        line: its first line, counted from one.
        language: the word after the fence; empty if there is none.
        code: what is in it.
        notes: what the comments before it say.
    """

    page: Path
    line: int
    language: str
    code: str
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """For messages: the page and the line."""
        name = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name
        return f"{name}:{self.line}"


def pages() -> list[Path]:
    """Every page, those above `docs/` first."""
    return [*(ROOT / name for name in _ABOVE), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    notes: dict[str, str] = {}
    end = -1
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.map is None:
            continue
        if token.type == "html_block":
            # Comments that follow each other belong to the same block.
            notes = (notes if token.map[0] == end else {}) | dict(_NOTE.findall(token.content))
            end = token.map[1]
        elif token.type == "fence":
            own = notes if token.map[0] == end else {}
            language = token.info.strip().partition(" ")[0]
            found.append(Block(page, token.map[0] + 1, language, token.content, own))
            notes = {}
    return found


def all_blocks() -> list[Block]:
    """Every block of every page."""
    return [block for page in pages() for block in blocks(page)]
