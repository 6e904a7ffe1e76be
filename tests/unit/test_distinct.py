"""Whether all lines of a file differ: exact whatever the chunks and the order, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.errors import DuplicateLine, LineCountMismatch, LineLengthMismatch
from providers.unique_tokens.distinct import LONGEST_LINE, MOST_LINES, Distinct
from providers.unique_tokens.requests import ProduceRequest

BOUNDED = settings(deadline=None, database=None, max_examples=200)


def watch(content: bytes, step: int = 64 * 1024) -> None:
    """Watch a file that comes in chunks of this length, and raise the verdict."""
    lines = Distinct("tokens.txt")
    for start in range(0, len(content), step):
        lines.update(content[start : start + step])
    lines.finish()


def differs(content: bytes, step: int = 64 * 1024) -> bool:
    """Whether all lines of it are said to differ."""
    try:
        watch(content, step)
    except DuplicateLine:
        return False
    return True


def truth(content: bytes) -> bool:
    """The same, in a line."""
    lines = content.split(b"\n") if content else []
    return len(set(lines)) == len(lines)


@BOUNDED
@given(st.lists(st.text("abc\n", max_size=4).map(str.encode), max_size=60), st.integers(1, 9))
@example([b""], 1)
@example([b"", b""], 1)
@example([b"a\n"], 1)
def test_it_says_what_a_set_of_all_lines_would_say(lines: list[bytes], step: int) -> None:
    """Empty lines, a newline at the end, none at all; cut anywhere."""
    content = b"\n".join(lines)
    assert differs(content, step) is truth(content)


def tokens(count: int) -> list[bytes]:
    """So many different tokens, in no order."""
    made = [b"%012X" % (number * 0x9E3779B97F4A7C15 % 2**48) for number in range(count)]
    assert len(set(made)) == count
    return made


@pytest.mark.parametrize("pair", [(0, -1), (0, 1), (1234, 4321), (-2, -1)], ids=str)
def test_one_pair_among_many_is_found(pair: tuple[int, int]) -> None:
    """Wherever the two stand."""
    lines = tokens(5000)
    assert differs(b"\n".join(lines), 997)
    lines[pair[0]] = lines[pair[1]]
    assert not differs(b"\n".join(lines), 997)


def test_the_largest_order_is_checked_and_nothing_longer() -> None:
    """One line more is refused with the bound in the message, a repetition or not."""
    schema = ProduceRequest.model_json_schema()["properties"]["size"]
    assert schema["maximum"] == MOST_LINES
    lines = tokens(MOST_LINES)
    watch(b"\n".join(lines))
    with pytest.raises(LineCountMismatch, match=f"tokens.txt: expected line count at most {MOST_LINES}, found more"):
        watch(b"\n".join([*lines, b"one more"]))
    assert not differs(b"\n".join([*lines, lines[0]]))


def test_memory_stays_bounded() -> None:
    """A file of three times the bound holds no more than 12 MiB, and nothing once it is refused."""
    lines = Distinct("tokens.txt")
    tracemalloc.start()
    for first in range(0, 3 * MOST_LINES, 5000):
        lines.update(b"".join(b"%012d\n" % number for number in range(first, first + 5000)))
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with pytest.raises(LineCountMismatch):
        lines.finish()
    assert peak < 12 * 1024**2
    assert left < 1024**2


def test_one_line_repeated_for_ever_is_found() -> None:
    """At its second coming, however often it comes."""
    assert not differs(b"AAA\n" * 200_000)


def test_no_token_is_quoted() -> None:
    """It is worth money."""
    with pytest.raises(DuplicateLine) as caught:
        watch(b"SECRET1\nSECRET1")
    assert "SECRET1" not in str(caught.value)
    assert "tokens.txt" in str(caught.value)


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_without_end_is_no_token(newline: bytes) -> None:
    """It is not held in memory either."""
    lines = Distinct("tokens.txt")
    for _ in range(100):
        lines.update(b"x" * 10_000)
        assert len(lines._rest) <= LONGEST_LINE
    lines.update(newline)
    with pytest.raises(LineLengthMismatch):
        lines.finish()


@pytest.mark.parametrize(("length", "refused"), [(LONGEST_LINE, False), (LONGEST_LINE + 1, True)])
@pytest.mark.parametrize("behind", [b"", b"\nnext"])
def test_the_longest_line_is_taken_and_no_longer_one(length: int, refused: bool, behind: bytes) -> None:
    """Whether it is the last, and whether it comes in one chunk."""
    for step in (10_000, 10**6):
        if refused:
            with pytest.raises(LineLengthMismatch):
                watch(b"x" * length + behind, step)
        else:
            watch(b"x" * length + behind, step)


def test_long_lines_are_compared_in_full() -> None:
    """Just below the limit, across chunks."""
    long = [b"x" * 60_000 + bytes([65 + number]) for number in range(40)]
    assert differs(b"\n".join(long), 50_000)
    assert not differs(b"\n".join([*long, long[7]]), 50_000)
