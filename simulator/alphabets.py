"""Alphabets of the Unique Tokens service (contract unique-tokens 4)."""

import math
import string
from dataclasses import dataclass
from functools import reduce
from typing import Any

# floor(this / (digits * bytes per character)) is what one part can deliver (contract unique-tokens 4).
_PART_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Alphabet:
    """A named set of characters; preset, or added to a session by its caller."""

    name: str
    chars: str
    custom: bool = False

    @property
    def bytes_per_char(self) -> int:
        """The bytes of one character in UTF-8, rounded up when characters differ."""
        return math.ceil(len(self.chars.encode()) / len(self.chars))

    @property
    def parity(self) -> int:
        """0 for an even length, else the exclusive or of all code points."""
        return 0 if len(self.chars) % 2 == 0 else reduce(lambda a, b: a ^ b, map(ord, self.chars))

    def available(self, digits: int) -> int:
        """How many different tokens of `digits` characters exist."""
        return int(len(self.chars) ** digits)

    def reachable(self, digits: int, left: int | None = None) -> int:
        """How many tokens one part can deliver when `left` are not yet produced (None: all)."""
        rest = self.available(digits) if left is None else left
        return min(rest, _PART_BYTES // (digits * self.bytes_per_char))

    def resource(self, digits: str | None = None) -> dict[str, Any]:
        """Describe the alphabet as a JSON:API resource, with capacity when `digits` is given."""
        attributes: dict[str, Any] = {
            "chars": self.chars,
            "length": len(self.chars),
            "bytes": len(self.chars.encode()),
            "ascii": self.chars.isascii(),
            "parity": self.parity,
        }
        if digits is not None:
            attributes["digits"] = digits
            attributes["available"] = str(self.available(int(digits)))
            attributes["reachable"] = str(self.reachable(int(digits)))
        return {"type": "alphabet", "id": self.name, "attributes": attributes}


_SEQUENCES = {
    "DICE": "".join(map(chr, range(0x2680, 0x2686))),
    "LOWER_LATIN": string.ascii_lowercase,
    "UPPER_LATIN": string.ascii_uppercase,
    "LOWER_HEX": "0123456789abcdef",
    "UPPER_HEX": "0123456789ABCDEF",
    "BASE16": "0123456789abcdef",
    "BASE60": "23456789" + string.ascii_uppercase + string.ascii_lowercase,
    "BASE62": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "UPPER_EPCG30": "0123456789ABCDEFGHKMNPRSTVWXYZ",
}

PRESETS: dict[str, Alphabet] = {name: Alphabet(name, chars) for name, chars in _SEQUENCES.items()}
"""The presets that the contract names; the service may have more."""


def search(alphabets: list[Alphabet], query: dict[str, str]) -> list[Alphabet]:
    """Keep the alphabets that fit `filter[length]`, `filter[chars]` and `filter[style]`.

    `filter[chars]` keeps those that contain all given characters. Raises ValueError for a bad length.
    """
    length, chars, style = (query.get(f"filter[{name}]") for name in ("length", "chars", "style"))
    found = alphabets
    if length is not None:
        found = [item for item in found if len(item.chars) == int(length)]
    if chars is not None:
        found = [item for item in found if set(chars) <= set(item.chars)]
    if style is not None:
        found = [item for item in found if item.custom == (style == "custom")]
    return found
