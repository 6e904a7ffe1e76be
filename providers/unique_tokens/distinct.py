"""Whether all lines of a file differ: exactly, and in bounded memory whatever comes.

Each line leaves a digest of 16 bytes in a set. A file of more lines than an order can have, or with a line longer than
any token, is refused before it takes more: no more than about 10 MiB are held.
"""

from __future__ import annotations

from hashlib import blake2b

from jobs.errors import ArtifactError, DuplicateLine, LineCountMismatch, LineLengthMismatch

#: An order has no more tokens than this.
MOST_LINES = 100_000
#: A longer line is no token, bytes.
LONGEST_LINE = 64 * 1024


class Distinct:
    """Watches the lines of one file as they pass.

    Args:
        name: of the file, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: set[bytes] = set()
        self._rest = b""  # the begin of a line whose end has not come yet
        self._empty = True
        self._fault: ArtifactError | None = None

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file. What is wrong with them is told at the end, when the file is known whole."""
        if self._fault is not None:
            return
        self._empty = self._empty and not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
        self._take(lines)

    def finish(self) -> None:
        """Tell the verdict on the whole file.

        Raises:
            DuplicateLine: two of its lines are the same. Neither is quoted: a token is worth money.
            LineCountMismatch: it has more lines than an order can have.
            LineLengthMismatch: a line is longer than any token.
        """
        if not self._empty and self._fault is None:
            self._take([self._rest])
        if self._fault is not None:
            raise self._fault

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            digest = blake2b(line, digest_size=16).digest()
            if len(line) > LONGEST_LINE:
                self._fault = LineLengthMismatch(self._name, f"at most {LONGEST_LINE} bytes", "a longer one")
            elif digest in self._seen:
                self._fault = DuplicateLine(self._name, "all different", "one that comes twice")
            elif len(self._seen) == MOST_LINES:
                self._fault = LineCountMismatch(self._name, f"at most {MOST_LINES}", "more")
            if self._fault is not None:
                self._seen.clear()
                self._rest = b""
                return
            self._seen.add(digest)
