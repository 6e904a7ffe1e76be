"""Runs a page from top to bottom, as a reader would."""

from __future__ import annotations

from pathlib import Path

from tests.docs import checkout
from tests.docs.blocks import Block, blocks
from tests.docs.conftest import House
from tests.docs.console import commands, missing
from tests.docs.sessions import Python, Shell

#: Another test, or a lane of CI, runs it; or it repeats what is somewhere else.
_ELSEWHERE = ("run by", "quoted from")


def runs(block: Block) -> bool:
    """Whether a block is run line by line."""
    return block.language in ("console", "python") and not set(block.notes) & set(_ELSEWHERE)


def run(page: Path, house: House, tmp_path: Path) -> None:
    """Run every block of a page in one shell and one Python, in a house that has forgotten the page before."""
    folder, scratch = tmp_path / "page", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    house.empty()
    environment, found = house.environment, blocks(page)
    if any("in" in block.notes for block in found):
        checkout.copied(folder)
        environment = {**environment, "PATH": f"{checkout.installed(folder)}:{environment['PATH']}"}
    shell, python = Shell(folder, environment, scratch), Python(folder, environment)
    try:
        for block in found:
            _provide(block, house, folder)
            if "file" in block.notes:
                (folder / block.notes["file"]).write_text(house.here(block.code))
            elif runs(block) and block.language == "python":
                _python(block, house, python)
            elif runs(block):
                _console(block, house, shell)
        house.settled(len([block for block in found if {"fails", "job fails"} & set(block.notes)]))
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
        # As pip says it of an extra that is not there.
        assert "\nWARNING: " not in f"\n{printed.lstrip()}", f"{told}\n(it warns)"
        lost = missing(command.output, printed)
        assert lost is None, f"{told}\n(the page shows a line that did not come: {lost!r}; … stands for anything)"
