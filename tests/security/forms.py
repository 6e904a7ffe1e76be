"""A value in every form in which it may stand somewhere, and the search for it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus


def _in_base64(value: bytes) -> list[bytes]:
    """Its base64 wherever it begins within a longer text: what is sure of each of the three alignments."""
    found = []
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + value)
        sure = whole[(0, 2, 3)[offset] : len(whole) - (0, 3, 2)[(offset + len(value)) % 3]]
        found += [sure, sure.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


def forms(value: str) -> set[bytes]:
    """All of them, as lower-case bytes but for base64."""
    plain = {
        value,
        quote(value, safe=""),
        quote_plus(value),
        html.escape(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value))[3:-3],
        value.encode().hex(),
        value[::-1],
    }
    return {form.encode() for form in plain} | {form for form in _in_base64(value.encode()) if len(form) >= 8}


class Search:
    """Looks for values in texts.

    Args:
        values: each with its name, for the report.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            assert len(value) >= 6, f"{name} is too short to be known from other text"
        named = [(form, name) for name, value in values.items() for form in forms(value)]
        self._names = {form.lower(): name for form, name in named}
        longest = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(form) for form in longest), re.IGNORECASE)

    def found(self, text: bytes | str) -> set[str]:
        """The names of the values that stand in a text."""
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        return {self._names[hit.lower()] for hit in self._pattern.findall(raw)}

    def places(self, where: Mapping[str, Iterable[bytes | str] | bytes | str]) -> dict[str, set[str]]:
        """For each place in which something was found, the names of what was."""
        seen: dict[str, set[str]] = {}
        for place, texts in where.items():
            for text in [texts] if isinstance(texts, bytes | str) else texts:
                if names := self.found(text):
                    seen.setdefault(place, set()).update(names)
        return seen
