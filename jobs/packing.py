"""Unpacking gzip as it passes, a bounded piece at a time: a small file may hold a very large one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

#: So much is unpacked at a time, bytes.
_PIECE = 1024 * 1024
#: To zlib: a gzip header and trailer, with its checksum.
_GZIP = 31


class Gunzip:
    """Unpacks a gzip file, of one or more members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=_GZIP)

    @property
    def whole(self) -> bool:
        """Whether the file ends here as a gzip file must."""
        return self._member.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next bytes of the file, and give what they hold, in pieces of at most 1 MiB.

        Raises:
            ValueError: it is no gzip file, or was changed.
        """
        left = chunk
        while True:
            if self._member.eof:
                if not left:
                    return
                self._member = zlib.decompressobj(wbits=_GZIP)
            try:
                piece = self._member.decompress(left, _PIECE)
            except zlib.error:
                raise ValueError("not gzip") from None
            if piece:
                yield piece
            left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not left:  # what zlib still holds comes with the next bytes: a trailer follows the last
                return
