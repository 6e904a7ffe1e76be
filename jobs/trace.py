"""The caller's trace, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/).

A `traceparent` says under which span of which trace work is done, and whether anybody records it. A job keeps it in its
record, because its stages run in messages of many jobs.
"""

from __future__ import annotations

import re

#: Version, trace, span, flags. Version ff is forbidden; a later version may have more behind the flags.
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


def traceparent(text: object) -> str | None:
    """The `traceparent` in a text that somebody sent, in the form of version 00; none if it is none.

    What cannot be read is no reason to refuse a job: it begins a trace of its own.
    """
    found = _FORM.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 200 else None
    if found is None or (found[1] == "00" and found[5]):
        return None
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def sampled(parent: str | None) -> bool:
    """Whether the caller's trace is recorded: the lowest bit of its flags."""
    return parent is not None and parent[-1] in "13579bdf"
