"""What a person may have meant: the known name that is nearest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: `; did you mean 'accepted'?`, or nothing if no known name is near.

    Args:
        word: as a person wrote it; capitals do not matter.
        known: the names that there are.
    """
    by_small = {str(name).lower(): str(name) for name in known}
    near = get_close_matches(word.lower(), by_small, 1)
    return f"; did you mean {by_small[near[0]]!r}?" if near else ""
