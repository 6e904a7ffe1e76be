"""Every command and code block of the pages, executed: page by page, from top to bottom, as a reader would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, all_blocks, blocks, pages
from tests.docs.checks import fault
from tests.docs.conftest import House, bare_environment
from tests.docs.console import commands, missing
from tests.docs.sessions import Python, Shell

#: Pages that set up everything by themselves: nothing runs there before their first block.
ALONE = ("tutorial.md",)

_SKIPPED = ("not run", "run by", "quoted from")


def _runs(block: Block) -> bool:
    return block.language in ("console", "python") and not set(block.notes) & set(_SKIPPED)


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
@pytest.mark.parametrize("page", [page for page in pages() if any(map(_runs, blocks(page)))], ids=_id)
def test_each_page_runs(page: Path, house: House, tmp_path: Path) -> None:
    """Its commands succeed and print what the page shows, its Python runs, its files are there for what follows."""
    folder, scratch = tmp_path / "page", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    own = House(bare_environment(), {}) if page.name in ALONE else house
    own.empty()
    shell, python = Shell(folder, own.environment, scratch), Python(folder, own.environment)
    try:
        for block in blocks(page):
            _provide(block, own, folder)
            if "file" in block.notes:
                (folder / block.notes["file"]).write_text(own.here(block.code))
            elif _runs(block) and block.language == "python":
                _python(block, own, python)
            elif _runs(block):
                _console(block, own, shell)
        own.settled(len([block for block in blocks(page) if {"fails", "job fails"} & set(block.notes)]))
    finally:
        python.close()
        shell.close()


def _provide(block: Block, house: House, folder: Path) -> None:
    """Files that a reader has already."""
    if "given" in block.notes:
        (folder / block.notes["given"]).write_bytes(b"%PDF-1.7 made up\n")
    if "stored" in block.notes:
        path = house.storage / block.notes["stored"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made up\n")


def _python(block: Block, house: House, python: Python) -> None:
    status, printed = python.run(house.here(block.code), block.place)
    if "fails" in block.notes:
        assert status, f"{block.place}: it should fail"
        assert block.notes["fails"] in printed
    else:
        assert status == 0, f"{block.place}: the block fails:\n{printed}"


def _console(block: Block, house: House, shell: Shell) -> None:
    typed = commands(house.here(block.code))
    for command in typed:
        if "stays open" in block.notes and command is typed[-1]:
            printed, status = shell.start(command.text, block.notes["stays open"]), 0
        else:
            status, printed = shell.run(command.text)
        told = f"{block.place}: $ {command.text}\n{printed}"
        if "fails" in block.notes:
            assert status == int(block.notes["fails"]), f"{told}\n(exit {status}, not {block.notes['fails']})"
        else:
            assert status == 0, f"{told}\n(exit {status}; correct the page, or say <!-- fails: {status} -->)"
        lost = missing(command.output, printed)
        assert lost is None, f"{told}\n(the page shows a line that did not come: {lost!r}; … stands for anything)"
