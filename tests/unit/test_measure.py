"""A file is measured a piece at a time, and what cannot be measured is said."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import measure as module
from jobs.errors import InvalidJob
from jobs.measure import Measure, measure, measure_local


@pytest.mark.parametrize("pieces", [[b"one"], [b"o", b"", b"ne"], [b"", b"one"]], ids=repr)
def test_pieces_give_the_hash_of_the_whole(pieces: list[bytes]) -> None:
    """However the bytes come."""
    assert measure(pieces) == Measure(hashlib.sha256(b"one").hexdigest(), 3)


@pytest.mark.parametrize("pieces", [[], [b""]], ids=repr)
def test_nothing_is_no_file(pieces: list[bytes]) -> None:
    """All empty files have one hash."""
    with pytest.raises(InvalidJob, match=r"^file: it is empty"):
        measure(pieces)


def test_a_large_local_file_takes_little_memory(tmp_path: Path) -> None:
    """64 MB in 4."""
    path, piece = tmp_path / "large", bytes(range(256)) * 4096
    with path.open("wb") as out:
        for _ in range(64):
            out.write(piece)
    tracemalloc.start()
    try:
        found = measure_local(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == Measure(hashlib.sha256(piece * 64).hexdigest(), 64 * 1024 * 1024)
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "pipe", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """A pipe or a device might never end. The path is not quoted."""
    path = Path(os.devnull) if kind == "device" else tmp_path / "private-name"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InvalidJob, match=r"^file: ") as refused:
        measure_local(path)
    assert path.name not in str(refused.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the system."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidJob, match=r"^file: it cannot be read \(Permission denied\)$"):
        measure_local(path)


@pytest.mark.parametrize("change", ["longer", "shorter", "touched"])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A hash of half the old and half the new content is the hash of no file."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    real = module.measure

    def interrupted(chunks: Iterator[bytes]) -> Measure:
        found = real(chunks)
        if change == "touched":
            os.utime(path, ns=(1, 1))
        else:
            path.write_bytes(b"content, and more" if change == "longer" else b"c")
        return found

    monkeypatch.setattr(module, "measure", interrupted)
    with pytest.raises(InvalidJob, match=r"^file: it changed"):
        measure_local(path)
