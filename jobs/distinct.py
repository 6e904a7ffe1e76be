"""Whether all lines of a file differ: exactly, and in bounded memory however long the file is.

Each line leaves a fingerprint of 64 bits. When they are too many they are dealt out to temporary files by their first
bits, so that equal ones meet in the same file. Where no two are equal, no two lines are. Only if some are, which hardly
ever happens without equal lines, the file is read once more, and the lines of those fingerprints are compared.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import IO, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jobs.errors import DuplicateLine, LineLengthMismatch

_Prints: TypeAlias = NDArray[np.uint64]

#: Temporary files, open at the same time; so many bits of a fingerprint choose one.
_BITS = 8
#: Fingerprints are dealt out so many at a time.
_BATCH = 1 << 16
#: A longer line is no token, bytes.
_LONGEST = 64 * 1024
#: Longer lines get their fingerprint one by one: a loop over their words would take more time, bytes.
_WIDEST = 1024
#: Of so many equal fingerprints at a time the lines are compared.
_SUSPECTS = 1024
#: What a fingerprint costs while it is dealt out or sorted, bytes.
_COST = 40
#: Odd, without order in its bits.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class _Lines:
    """Cuts chunks into lines and takes their fingerprints, which depend on nothing but the line.

    The lines of a token file have one length: those as long as the first are taken together, others one by one.
    """

    def __init__(self) -> None:
        self.rest = b""  #: the begin of a line whose end has not come yet
        self._width: int | None = None
        self._seed = np.uint64(secrets.randbits(64))

    def cut(self, chunk: bytes) -> bytes:
        """The lines that end in this chunk, each with its newline."""
        block, newline, self.rest = (self.rest + chunk).rpartition(b"\n")
        return block + newline

    def prints(self, block: bytes) -> _Prints:
        """The fingerprints of lines, in their order. Each line ends with a newline."""
        number = block.count(b"\n")
        if not number:
            return np.empty(0, np.uint64)
        if self._width is None:
            self._width = block.index(b"\n")
        length = self._width + 1
        if length <= _WIDEST and len(block) == number * length and block[self._width :: length].count(b"\n") == number:
            return self._alike(block)
        lines = block[:-1].split(b"\n")
        prints = np.fromiter(map(hash, lines), np.int64, number).view(np.uint64)
        if length <= _WIDEST:
            alike = np.fromiter(map(len, lines), np.int64, number) == self._width
            if alike.any():
                prints[alike] = self._alike(b"".join(line + b"\n" for line in lines if len(line) == self._width))
        return prints

    def _alike(self, block: bytes) -> _Prints:
        """The fingerprints of lines of the first one's length, all at once."""
        width = self._width or 0
        table = np.frombuffer(block, np.uint8).reshape(-1, width + 1)
        words = np.zeros((len(table), max(-(-width // 8), 1)), np.uint64)
        words.view(np.uint8)[:, :width] = table[:, :-1]
        prints = np.full(len(table), self._seed)
        for column in words.T:  # no step loses a bit: lines that differ in one word never have one fingerprint
            prints ^= column
            prints *= _FACTOR
            prints ^= prints >> np.uint64(32)
        return prints


def _longest(block: bytes) -> int:
    """The length of the longest line, with its newline."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    return int(np.diff(ends, prepend=-1).max())


class Distinct:
    """Watches the lines of one file as they pass. Use it as a context: its temporary files go with it.

    Args:
        name: of the file, for errors.
        again: reads the same content once more, should fingerprints be equal.
        memory: about so many bytes may be held.
        folder: where temporary files go; the system's own place if not given. They have no name there, so nothing is
            left behind by a process that dies.
        beat: called now and then while the work goes on.
    """

    def __init__(
        self,
        name: str,
        again: Callable[[], Iterable[bytes]],
        *,
        memory: int,
        folder: str | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._name, self._again, self._memory, self._folder, self._beat = name, again, memory, folder, beat
        self._lines = _Lines()
        self._held: list[_Prints] = []
        self._number = 0  # of fingerprints held
        self._parts: list[IO[bytes]] = []
        self._exits = ExitStack()
        self._empty = True
        self._endless = False

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
        if self._endless:
            return
        block = self._lines.cut(chunk)
        self._endless = max(len(self._lines.rest), _longest(block) if len(block) > _LONGEST else 0) > _LONGEST
        if not self._endless:
            self._hold(self._lines.prints(block))

    def finish(self) -> None:
        """Tell the verdict on the whole file.

        Raises:
            DuplicateLine: two of its lines are the same. Neither is quoted: a token is worth money.
            LineLengthMismatch: a line is longer than any token.
            OSError: a temporary file, or the file itself once more, cannot be read.
        """
        if self._endless:
            raise LineLengthMismatch(self._name, f"at most {_LONGEST} bytes", "a longer one")
        if self._empty:
            return
        self._hold(self._lines.prints(self._lines.rest + b"\n"))
        if self._parts:
            self._deal()
        for prints in self._pieces():
            self._beat()
            prints.sort()
            equal = np.unique(prints[1:][prints[1:] == prints[:-1]])
            for first in range(0, len(equal), _SUSPECTS):
                self._compare(equal[first : first + _SUSPECTS])

    def _hold(self, prints: _Prints) -> None:
        self._held.append(prints)
        self._number += len(prints)
        if not self._parts and self._number * _COST > self._memory:
            for _ in range(1 << _BITS):
                self._parts.append(self._exits.enter_context(tempfile.TemporaryFile(dir=self._folder)))  # noqa: SIM115
        if self._parts and self._number >= _BATCH:
            self._deal()

    def _take(self) -> _Prints:
        held = np.concatenate([np.empty(0, np.uint64), *self._held])
        self._held, self._number = [], 0
        return held

    def _deal(self) -> None:
        """Write each fingerprint to the temporary file that its first bits choose."""
        prints = self._take()
        chosen = (prints >> np.uint64(64 - _BITS)).astype(np.uint8)
        prints = prints[np.argsort(chosen, kind="stable")]
        start = 0
        for part, number in zip(self._parts, np.bincount(chosen, minlength=1 << _BITS).tolist(), strict=True):
            if number:
                part.write(prints[start : start + number].tobytes())
            start += number

    def _pieces(self) -> Iterator[_Prints]:
        """All fingerprints, in pieces that fit into the memory; equal ones are in one piece.

        A piece is gone when the next one is asked for: all use the same memory. Pieces of their own, each of another
        size, would leave so many gaps that a process grows by 25 MB.
        """
        if not self._parts:
            yield self._take()
        block, room = np.empty(_BATCH, np.uint64), np.empty(0, np.uint64)
        for part in self._parts:
            # What is too much for one piece is told apart by the bits that follow.
            bits = min((part.tell() // 8 * _COST // self._memory).bit_length(), _BITS)
            shift, mask = np.uint64(64 - _BITS - bits), np.uint64((1 << bits) - 1)
            for piece in range(1 << bits):
                part.seek(0)
                filled = 0
                while number := part.readinto(block) // 8:  # type: ignore[attr-defined]
                    prints = block[:number]
                    if bits:
                        prints = prints[prints >> shift & mask == piece]
                    if filled + len(prints) > len(room):
                        room = np.concatenate([room[:filled], np.empty(2 * len(prints) + filled // 2, np.uint64)])
                    room[filled : filled + len(prints)] = prints
                    filled += len(prints)
                yield room[:filled]

    def _compare(self, suspects: _Prints) -> None:
        """Read the file once more, and compare the lines that have these fingerprints.

        Raises:
            DuplicateLine: two of them are the same.
            OSError: it cannot be read.
        """
        seen: set[bytes] = set()
        self._lines.rest = b""
        for chunk in chain(self._again(), [b"\n"]):
            block = self._lines.cut(chunk)
            self._beat()
            suspected = np.flatnonzero(np.isin(self._lines.prints(block), suspects))
            lines = block.split(b"\n") if len(suspected) else []
            for line in map(lines.__getitem__, suspected.tolist()):
                if line in seen:
                    raise DuplicateLine(self._name, "all different", "one that comes twice")
                seen.add(line)
