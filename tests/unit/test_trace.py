"""What counts as a caller's `traceparent`, by the W3C's own examples and by what strangers may send."""

from __future__ import annotations

import pytest

from jobs.trace import sampled, traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f" 00-{TRACE}-{SPAN}-00\n", f"00-{TRACE}-{SPAN}-00"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01" + "x" * 200, None),
        ("", None),
        ("somebody@example.org", None),
        (None, None),
        (7, None),
        ([f"00-{TRACE}-{SPAN}-01"], None),
    ],
    ids=range(15),
)
def test_only_a_traceparent_is_kept(text: object, kept: str | None) -> None:
    """Anything else is dropped, never refused: a job is not lost for it."""
    assert traceparent(text) == kept


@pytest.mark.parametrize(
    ("flags", "recorded"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_the_flag_says_whether_anybody_records(flags: str, recorded: bool) -> None:
    """The lowest bit alone."""
    assert sampled(f"00-{TRACE}-{SPAN}-{flags}") is recorded
    assert not sampled(None)
