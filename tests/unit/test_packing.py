"""Gzip, unpacked as it passes: any file, in any chunks, in pieces, and known whole or not."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import packing
from jobs.packing import Gunzip

BOUNDED = settings(deadline=None, database=None, max_examples=200)


def unpacked(content: bytes, step: int) -> tuple[bytes, bool]:
    """What a gzip file holds, and whether it ends as it must."""
    gunzip, found = Gunzip(), io.BytesIO()
    for start in range(0, len(content), step):
        for piece in gunzip.feed(content[start : start + step]):
            assert 0 < len(piece) <= packing._PIECE
            found.write(piece)
    return found.getvalue(), gunzip.whole


@BOUNDED
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 400))
def test_any_gzip_file_is_unpacked_in_any_chunks(members: list[bytes], step: int) -> None:
    """Of one member or several."""
    assert unpacked(b"".join(map(gzip.compress, members)), step) == (b"".join(members), True)


@pytest.mark.parametrize("length", [packing._PIECE - 1, packing._PIECE, packing._PIECE + 1, 5 * packing._PIECE])
@pytest.mark.parametrize("step", [100, 10**9])
def test_a_small_file_that_holds_much_comes_in_pieces(length: int, step: int) -> None:
    """Nothing is lost where a piece ends."""
    assert unpacked(gzip.compress(bytes(length)), step) == (bytes(length), True)


def test_a_file_that_is_cut_off_or_changed_is_noticed() -> None:
    """At every byte."""
    whole = gzip.compress(b"AAA\nBBB\nCCC", mtime=0)
    for end in range(len(whole)):
        assert not unpacked(whole[:end], 5)[1]
    noticed = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x40
        try:
            noticed += unpacked(bytes(changed), 5) != (b"AAA\nBBB\nCCC", True)
        except ValueError:
            noticed += 1
    assert noticed == len(whole) - 7  # time, level and system of its making, and the bits after the last are free
