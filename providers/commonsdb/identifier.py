"""The identifier that CommonsDB gives a declaration, known before it is sent (contract commonsdb 2.7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def cid_v1(public_metadata: Mapping[str, Any]) -> str:
    """The identifier that CommonsDB will give a declaration (contract 2.7). Not a standard CID.

    Args:
        public_metadata: the `publicMetadata` object exactly as it is sent.
    """
    text = _javascript(public_metadata, frozenset(public_metadata))
    number = int.from_bytes(b"\x01\x0c\x12\x20" + hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    while number:
        number, place = divmod(number, 32)
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))


def _javascript(value: Any, names: frozenset[str]) -> str:
    """JSON as JavaScript writes it with an array of names: at every depth only those keys, in ascending order."""
    if isinstance(value, Mapping):
        keys = sorted((key for key in value if key in names), key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_javascript(key, names)}:{_javascript(value[key], names)}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_javascript(item, names) for item in value) + "]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > 2**53):
        return _number(float(value))
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """A number as JavaScript writes it: the digits are Python's, the place of the exponent is not."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(abs(value) if value == 0 else value)), "f").removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
