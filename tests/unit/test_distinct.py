"""Whether all lines of a file differ: exact whatever the memory, the chunks and the order; and gzip as it passes."""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs import distinct, packing
from jobs.distinct import Distinct
from jobs.errors import DuplicateLine, LineLengthMismatch
from jobs.packing import Gunzip

BOUNDED = settings(deadline=None, database=None, max_examples=200)

#: So little that a handful of lines goes to temporary files, and those of a thousand to further ones.
TINY = 1000


def differs(content: bytes, *, memory: int, step: int = 64 * 1024, **options: Any) -> bool:
    """What is said of a file that comes in chunks of this length."""
    with Distinct("tokens.txt", memory=memory, **options) as lines:
        for start in range(0, len(content), step):
            lines.update(content[start : start + step])
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


def test_what_is_too_much_is_dealt_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level looks at other bits of the hash, so no set grows beyond its share."""
    largest = 0
    original = Distinct._add

    def add(self: Distinct, lines: Any) -> None:
        nonlocal largest
        original(self, lines)
        largest = max(largest, len(self._held)) if not self._repeated else largest

    monkeypatch.setattr(Distinct, "_add", add)
    assert differs(b"\n".join(tokens(5000)), memory=TINY, step=100)
    assert 1 < largest <= TINY // 100  # of lines that weigh more than a hundred bytes each


def test_one_line_repeated_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no dealing out can split: equal lines are found, and equal hashes are held in memory at last."""
    assert not differs(b"AAA\n" * 10_000, memory=1)

    class Same(bytes):
        """A line with the hash of all others."""

        __hash__ = lambda self: 7  # noqa: E731

    monkeypatch.setattr(distinct._Lines, "cut", _cut_as(Same))
    assert differs(b"".join(b"%d\n" % number for number in range(50)), memory=1)
    assert not differs(b"".join(b"%d\n" % (number % 49) for number in range(50)), memory=1)


def _cut_as(kind: Any) -> Any:
    original = distinct._Lines.cut

    def cut(self: Any, chunk: bytes) -> list[bytes]:
        return [kind(line) for line in original(self, chunk)]

    return cut


def test_memory_stays_bounded() -> None:
    """Files of 1 and 3 MB, for which a set would need 12 and 36, watched with one: what is held does not grow."""
    rng = random.Random(3)
    chunk = 64 * 1024 - 64 * 1024 % 13

    def used(chunks: int) -> int:
        tracemalloc.start()
        with Distinct("tokens.txt", memory=1024 * 1024) as lines:
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
    with Distinct("tokens.txt", memory=TINY) as lines:
        lines.update(b"SECRET1\nSECRET1")
        with pytest.raises(DuplicateLine) as caught:
            lines.finish()
    assert "SECRET1" not in str(caught.value)
    assert "tokens.txt" in str(caught.value)


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_without_end_is_no_token(newline: bytes) -> None:
    """It is not held in memory either."""
    with Distinct("tokens.txt", memory=TINY) as lines:
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
