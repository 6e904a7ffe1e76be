"""Whether all lines of a file differ: exact whatever the memory, the chunks and the order; and gzip as it passes."""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs import distinct, packing
from jobs.distinct import Distinct
from jobs.errors import DuplicateLine, LineLengthMismatch
from jobs.packing import Gunzip

BOUNDED = settings(deadline=None, database=None, max_examples=200)

#: So little that the fingerprints of a handful of lines go to temporary files.
TINY = 1000


def differs(content: bytes, *, memory: int, step: int = 64 * 1024, **options: Any) -> bool:
    """What is said of a file that comes in chunks of this length."""

    def chunks() -> Iterator[bytes]:
        return (content[start : start + step] for start in range(0, len(content), step))

    with Distinct("tokens.txt", chunks, memory=memory, **options) as lines:
        for chunk in chunks():
            lines.update(chunk)
        try:
            lines.finish()
        except DuplicateLine:
            return False
    return True


def truth(content: bytes) -> bool:
    """The same, in a line."""
    lines = content.split(b"\n") if content else []
    return len(set(lines)) == len(lines)


@BOUNDED
@given(
    st.lists(st.text("abc\n", max_size=4).map(str.encode), max_size=60),
    st.sampled_from([1, 300, TINY, 10**6]),
    st.integers(1, 9),
)
@example([b""], 1, 1)
@example([b"", b""], 1, 1)
@example([b"a\n"], 300, 1)
def test_it_says_what_a_set_of_all_lines_would_say(lines: list[bytes], memory: int, step: int) -> None:
    """Empty lines, a newline at the end, none at all; in memory and in files, cut anywhere."""
    content = b"\n".join(lines)
    assert differs(content, memory=memory, step=step) is truth(content)


def tokens(count: int) -> list[bytes]:
    """So many different tokens, in no order."""
    made = [b"%012X" % (number * 0x9E3779B97F4A7C15 % 2**48) for number in range(count)]
    assert len(set(made)) == count
    return made


@pytest.mark.parametrize("memory", [TINY, 50_000, 10**9], ids=["many files", "some files", "memory"])
@pytest.mark.parametrize("pair", [(0, -1), (0, 1), (1234, 4321), (-2, -1)], ids=str)
def test_one_pair_among_many_is_found(memory: int, pair: tuple[int, int]) -> None:
    """Wherever the two stand."""
    lines = tokens(5000)
    assert differs(b"\n".join(lines), memory=memory, step=997)
    lines[pair[0]] = lines[pair[1]]
    assert not differs(b"\n".join(lines), memory=memory, step=997)


@pytest.mark.parametrize("repeated", [False, True])
def test_what_is_too_much_is_sorted_in_pieces(monkeypatch: pytest.MonkeyPatch, repeated: bool) -> None:
    """Of a temporary file only so much is held as fits."""
    largest = 0
    original = Distinct._pieces

    def pieces(self: Distinct) -> Iterator[Any]:
        nonlocal largest
        for piece in original(self):
            largest = max(largest, len(piece))
            yield piece

    monkeypatch.setattr(Distinct, "_pieces", pieces)
    lines = tokens(20_000)  # some eighty in each temporary file
    assert differs(b"\n".join([*lines, lines[4711]] if repeated else lines), memory=800, step=999) is not repeated
    assert 1 < largest <= 60


@pytest.mark.parametrize("memory", [TINY, 10**9])
@pytest.mark.parametrize("cut", [12, 1, 5000])
def test_lines_whose_fingerprints_are_equal_are_compared(
    monkeypatch: pytest.MonkeyPatch, memory: int, cut: int
) -> None:
    """However many there are: only equal lines are a repetition."""
    original = distinct._Lines.prints
    monkeypatch.setattr(distinct._Lines, "prints", lambda self, block: original(self, block) % np.uint64(7))
    monkeypatch.setattr(distinct, "_SUSPECTS", 2)
    lines = tokens(300)
    assert differs(b"\n".join(lines), memory=memory, step=cut)
    assert not differs(b"\n".join([*lines, lines[150]]), memory=memory, step=cut)


@BOUNDED
@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=30))
def test_a_fingerprint_depends_on_the_line_alone(lines: list[bytes]) -> None:
    """Not on its neighbours, by which it is taken together with others or by itself."""
    cutter = distinct._Lines()
    together = cutter.prints(b"".join(line + b"\n" for line in lines)).tolist()
    assert together == [int(cutter.prints(line + b"\n")[0]) for line in lines]
    assert len(set(together)) == len(set(lines))


def test_one_line_repeated_for_ever_is_found() -> None:
    """What no dealing out can split."""
    assert not differs(b"AAA\n" * 200_000, memory=100_000)


def test_memory_stays_bounded() -> None:
    """Files of 1 and 3 MB, for which a set would need 12 and 36, watched with one: what is held does not grow."""
    rng = random.Random(3)
    chunk = 64 * 1024 - 64 * 1024 % 13

    def used(chunks: int) -> int:
        tracemalloc.start()
        with Distinct("tokens.txt", lambda: iter(()), memory=1024 * 1024) as lines:
            for _ in range(chunks):
                text = rng.randbytes(6 * chunk // 13).hex().encode()
                lines.update(b"".join(text[start : start + 12] + b"\n" for start in range(0, len(text), 12)))
            lines.update(b"end")
            lines.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    small, large = used(15), used(45)
    assert large < 1.5 * small


def test_temporary_files_have_no_name_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed leaves nothing behind; one that lives closes all."""
    opened: list[Any] = []
    original = tempfile.TemporaryFile

    def remember(*args: Any, **options: Any) -> Any:
        opened.append(original(*args, **options))
        assert list(tmp_path.iterdir()) == []
        return opened[-1]

    monkeypatch.setattr(distinct.tempfile, "TemporaryFile", remember)
    assert differs(b"\n".join(tokens(500)), memory=TINY, folder=str(tmp_path))
    assert len(opened) > 32
    assert all(each.closed for each in opened)


def test_a_disk_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a verdict."""

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(distinct.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space"):
        differs(b"\n".join(tokens(100)), memory=TINY)


def test_no_token_is_quoted() -> None:
    """It is worth money."""
    with Distinct("tokens.txt", lambda: iter([b"SECRET1\nSECRET1"]), memory=TINY) as lines:
        lines.update(b"SECRET1\nSECRET1")
        with pytest.raises(DuplicateLine) as caught:
            lines.finish()
    assert "SECRET1" not in str(caught.value)
    assert "tokens.txt" in str(caught.value)


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_without_end_is_no_token(newline: bytes) -> None:
    """It is not held in memory either."""
    with Distinct("tokens.txt", lambda: iter(()), memory=TINY) as lines:
        for _ in range(100):
            lines.update(b"x" * 10_000)
            assert len(lines._lines.rest) < 100_000
        lines.update(newline)
        with pytest.raises(LineLengthMismatch):
            lines.finish()


def test_long_lines_are_compared_in_full() -> None:
    """Just below the limit, across chunks, and in temporary files."""
    long = [bytes([65 + number]) * 60_000 for number in range(40)]
    assert differs(b"\n".join(long), memory=TINY, step=50_000)
    assert not differs(b"\n".join([*long, long[7]]), memory=TINY, step=50_000)


def test_the_work_keeps_its_claim_alive() -> None:
    """The second pass over the files says that it is alive, too."""
    beats: list[int] = []
    assert differs(b"\n".join(tokens(1000)), memory=TINY, beat=lambda: beats.append(1))
    assert len(beats) > 20


# --- gzip ----------------------------------------------------------------------------------------------------------


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
