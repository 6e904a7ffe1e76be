"""Every command and code block of the pages, executed: page by page, from top to bottom, as a reader would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, all_blocks, blocks, pages
from tests.docs.checks import fault
from tests.docs.conftest import House
from tests.docs.running import run, runs

#: Has a test of its own: it starts everything by itself.
_ALONE = ROOT / "docs" / "tutorial.md"


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=_id)
def test_each_block_is_what_its_language_says(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Parsed, validated, compared with what it quotes; and a block without a language is none."""
    monkeypatch.chdir(tmp_path)

    def environment(values: Mapping[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    found = [(block.place, fault(block, environment)) for block in blocks(page)]
    assert [f"{place}: {told}" for place, told in found if told] == []


def test_what_is_not_run_is_little() -> None:
    """Each says why, and all of them are listed at the end of a run (`conftest.py`)."""
    found = all_blocks()
    runnable = [block for block in found if block.language in ("console", "python")]
    skipped = [block for block in found if "not run" in block.notes]
    assert len(runnable) > 20
    assert len(skipped) <= len(runnable) / 3, "too many blocks are not run: make them run, or shorten the pages"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", [page for page in pages() if page != _ALONE and any(map(runs, blocks(page)))], ids=_id)
def test_each_page_runs(page: Path, house: House, tmp_path: Path) -> None:
    """Its commands succeed and print what the page shows, its Python runs, its files are there for what follows."""
    run(page, house, tmp_path)
