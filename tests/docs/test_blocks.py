"""Every command and code block of the pages, executed: page by page, from top to bottom, as a reader would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, all_blocks, blocks, pages
from tests.docs.checks import fault
from tests.docs.conftest import House
from tests.docs.running import run, runs

#: They have a test of their own: they start everything by themselves.
_ALONE = (ROOT / "docs" / "tutorial.md", ROOT / "README.md")


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _in_the_house(page: Path) -> bool:
    return page not in _ALONE and any(map(runs, blocks(page)))


@pytest.mark.parametrize("page", pages(), ids=_id)
def test_each_block_is_what_its_language_says(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Parsed, validated, compared with what it quotes; and a block without a language is none."""
    monkeypatch.chdir(tmp_path)

    def environment(values: Mapping[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    found = [(block.place, fault(block, environment)) for block in blocks(page)]
    assert [f"{place}: {told}" for place, told in found if told] == []


def test_every_block_is_executed() -> None:
    """Line by line, or by a test or a lane of CI that it names; no note leaves one out."""
    shells = [block for block in all_blocks() if block.language in ("console", "python")]
    assert len(shells) > 60
    elsewhere = [block for block in shells if not runs(block)]
    assert [block.place for block in elsewhere if not {"run by", "quoted from"} & set(block.notes)] == []
    assert len(elsewhere) < len(shells) / 5, "run them with their page"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", list(filter(_in_the_house, pages())), ids=_id)
def test_each_page_runs(page: Path, house: House, tmp_path: Path) -> None:
    """Its commands succeed and print what the page shows, its Python runs, its files are there for what follows."""
    run(page, house, tmp_path)
