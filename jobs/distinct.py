"""Whether all lines of a file differ: exactly, without sorting, and in bounded memory however long the file is.

Lines are held in a set until it would be too large. From then on they are dealt out to temporary files by their hash:
equal lines meet in the same file, so each of those is looked at on its own, and dealt out once more if it must be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from jobs.errors import DuplicateLine, LineLengthMismatch

#: Temporary files at each level, open at the same time; a power of two, whose bits of the hash choose one.
_BITS = 5
#: No bits of the hash are left below this level: its files are held in memory whatever they need.
_DEEPEST = 10
#: What a line costs in a set beside its own bytes, measured with CPython 3.11 to 3.13.
_OVERHEAD = 120
#: A longer line is no token, and would have to be held in memory, bytes.
_LONGEST = 64 * 1024
#: A temporary file is read so much at a time, bytes: its lines take some ten times of it.
_CHUNK = 64 * 1024


class _Lines:
    """Cuts chunks into lines."""

    def __init__(self) -> None:
        self.rest = b""  #: the begin of a line whose end has not come yet

    def cut(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk."""
        *whole, self.rest = (self.rest + chunk).split(b"\n")
        return whole


class Distinct:
    """Watches the lines of one file as they pass. Use it as a context: its temporary files go with it.

    Args:
        name: of the file, for errors.
        memory: about so many bytes may be held.
        folder: where temporary files go; the system's own place if not given. They have no name there, so nothing is
            left behind by a process that dies.
        beat: called now and then while the work goes on.
    """

    def __init__(
        self,
        name: str,
        *,
        memory: int,
        folder: str | None = None,
        beat: Callable[[], object] = lambda: None,
        level: int = 0,
    ) -> None:
        self._name, self._memory, self._folder, self._beat, self._level = name, memory, folder, beat, level
        self._lines = _Lines()
        self._held: set[bytes] = set()
        self._weight = 0
        self._parts: list[IO[bytes]] = []
        self._exits = ExitStack()
        self._empty = True
        self._repeated = self._endless = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            OSError: a temporary file cannot be written.
        """
        self._empty = self._empty and not chunk
        if self._repeated or self._endless:
            return
        lines = self._lines.cut(chunk)
        if self._level == 0:
            self._endless = max(len(self._lines.rest), max(map(len, lines), default=0)) > _LONGEST
        self._add(lines)

    def finish(self) -> None:
        """Tell the verdict on the whole file.

        Raises:
            DuplicateLine: two of its lines are the same. Neither is quoted: a token is worth money.
            LineLengthMismatch: a line is longer than any token.
            OSError: a temporary file cannot be read.
        """
        if self._endless:
            raise LineLengthMismatch(self._name, f"at most {_LONGEST} bytes", "a longer one")
        if not self._empty and not self._repeated:
            self._add([self._lines.rest])
        if self._repeated or any(self._repeats_in(part) for part in self._parts):
            raise DuplicateLine(self._name, "all different", "one that comes twice")

    def _add(self, lines: Collection[bytes]) -> None:
        if self._parts:
            self._deal(lines)
            return
        before = len(self._held)
        self._held.update(lines)
        self._repeated = len(self._held) < before + len(lines)
        self._weight += sum(map(len, lines)) + _OVERHEAD * len(lines)
        full = self._weight > self._memory and len(self._held) > 1
        if full and self._level < _DEEPEST and not self._repeated:
            held, self._held = self._held, set()
            for _ in range(1 << _BITS):
                self._parts.append(self._exits.enter_context(tempfile.TemporaryFile(dir=self._folder)))  # noqa: SIM115
            self._deal(held)

    def _deal(self, lines: Collection[bytes]) -> None:
        """Write each line to the temporary file that its hash chooses."""
        piles: list[list[bytes]] = [[] for _ in self._parts]
        shift, mask = self._level * _BITS, (1 << _BITS) - 1
        for line in lines:
            piles[hash(line) >> shift & mask].append(line)
        for part, pile in zip(self._parts, piles, strict=True):
            if pile:
                pile.append(b"")  # each line ends with a newline there
                part.write(b"\n".join(pile))

    def _repeats_in(self, part: IO[bytes]) -> bool:
        part.seek(0)
        with Distinct(
            self._name, memory=self._memory, folder=self._folder, beat=self._beat, level=self._level + 1
        ) as inner:
            while not inner._repeated and (chunk := part.read(_CHUNK)):
                inner.update(chunk)
                self._beat()
            return inner._repeated or any(inner._repeats_in(deeper) for deeper in inner._parts)
