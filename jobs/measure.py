"""The SHA-256 and the length of a file, however large: it is read a piece at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import InvalidJob

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measure:
    """What is sent of a file instead of the file."""

    sha256: str  #: lower-case hex
    size: int  #: bytes


def measure(chunks: Iterable[bytes]) -> Measure:
    """Measure a file whose bytes pass.

    Raises:
        InvalidJob: it is empty: all empty files have the same hash.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    if not size:
        raise InvalidJob("file: it is empty, so its hash says nothing; give a file with content")
    return Measure(digest.hexdigest(), size)


def measure_local(path: Path, tell: Callable[[int], None] | None = None) -> Measure:
    """Measure a file on this machine.

    Args:
        path: of the file.
        tell: told how many more bytes are read, now and then.

    Raises:
        InvalidJob: it is no regular file, cannot be read, is empty, or changes while it is read.
    """
    if not path.is_file():
        raise InvalidJob("file: there is no such file on this machine")
    try:
        with path.open("rb") as opened:
            before = os.fstat(opened.fileno())
            found = measure(_told(iter(lambda: opened.read(_CHUNK), b""), tell))
            after = os.fstat(opened.fileno())
    except OSError as error:
        raise InvalidJob(f"file: it cannot be read ({error.strerror or type(error).__name__})") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InvalidJob("file: it changed while it was read; try again when nobody writes it")
    return found


def _told(chunks: Iterable[bytes], tell: Callable[[int], None] | None) -> Iterator[bytes]:
    for chunk in chunks:
        if tell is not None:
            tell(len(chunk))
        yield chunk
