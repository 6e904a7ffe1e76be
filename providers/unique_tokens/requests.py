"""What callers ask of Unique Tokens, checked as far as the request itself can tell (contract unique-tokens 4 to 6)."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from providers.base import Request
from providers.unique_tokens.distinct import MOST_LINES

#: Lengths of the preset alphabets whose names were seen (contract 4); the service may have more.
PRESETS = {
    "DICE": 6,
    "LOWER_LATIN": 26,
    "UPPER_LATIN": 26,
    "LOWER_HEX": 16,
    "UPPER_HEX": 16,
    "BASE16": 16,
    "BASE60": 60,
    "BASE62": 62,
    "UPPER_EPCG30": 30,
}


class Payment(Request):
    """A confirmed payment (contract 5)."""

    id: str = Field(min_length=1, description="transaction id")
    ident: str = Field(min_length=1, description="payment intent")


class _Order(Request):
    """What every part of a line needs."""

    payment: Payment
    seed: str | None = Field(None, min_length=1, description="enters the hashes of the files; recommended")
    snapshot: bool = Field(False, description="also fetch the snapshot from which a next part can be produced")
    format: Literal["plain", "gz"] = Field("plain", description="how the tokens are fetched and kept")
    analysis: Literal["none", "metrics"] = Field("none", description="metrics: with an analysis and its files")


class ProduceRequest(_Order):
    """The keyword arguments of `settle.unique_tokens.produce` (contract 6.1)."""

    chars: str | None = Field(
        None, min_length=2, max_length=1000, description="the characters of your own alphabet, each once"
    )
    alphabet: str = Field(min_length=1, max_length=100, description="name of a preset alphabet, or of your own")
    digits: int = Field(ge=3, le=100, description="characters of each token")
    size: int = Field(ge=1000, le=MOST_LINES, description="number of tokens")

    @field_validator("chars")
    @classmethod
    def _usable(cls, chars: str | None) -> str | None:
        if chars is not None:
            if len(set(chars)) < len(chars):
                raise ValueError("each character may stand there once")
            if any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 or letter in "\u2028\u2029" for letter in chars):
                raise ValueError("no line break and no control character may stand there")
            if any(0xD800 <= ord(letter) < 0xE000 for letter in chars):
                raise ValueError("half a surrogate pair is no character")
        return chars

    @field_validator("alphabet")
    @classmethod
    def _named(cls, alphabet: str, info: ValidationInfo) -> str:
        if info.data.get("chars") is not None:
            if alphabet in PRESETS:
                raise ValueError(f"{alphabet} is a preset: give your own alphabet another name")
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,89}", alphabet):
                raise ValueError("name your own with a letter first, then letters, digits and _, at most 90")
        return alphabet

    @field_validator("size")
    @classmethod
    def _possible(cls, size: int, info: ValidationInfo) -> int:
        chars, digits = info.data.get("chars"), info.data.get("digits")
        length = len(chars) if chars is not None else PRESETS.get(info.data.get("alphabet", ""))
        if length is not None and digits is not None and size > length**digits:
            raise ValueError(
                f"{length} characters give {length**digits} different tokens of {digits} digits: "
                "ask for no more, or for more digits"
            )
        return size


class ContinueRequest(_Order):
    """The keyword arguments of `settle.unique_tokens.continue` (contract 6.2)."""

    former: str = Field(
        min_length=1, max_length=200, description="id of the job that produced the part before, with its snapshot"
    )
    size: int = Field(ge=1000, le=MOST_LINES, description="number of tokens")
    again: bool = Field(False, description="although another job continues it, or may; both may give the same tokens")


def marked(name: str, chars: str) -> str:
    """A name that no other set of characters has: alphabets of one session share their names (contract 4)."""
    return f"{name}_{hashlib.sha256(chars.encode()).hexdigest()[:8]}"


def order(request: ProduceRequest | ContinueRequest, alphabet: str, digits: int) -> dict[str, Any]:
    """The body of a production request; numbers as strings, as in the normal examples (contract 6.1)."""
    payment = {"type": "transaction", "id": request.payment.id, "ident": request.payment.ident}
    body: dict[str, Any] = {
        "data": {
            "type": "tokens",
            "attributes": {"alphabet": alphabet, "digits": str(digits), "size": str(request.size)},
            "relationships": {"payment": {"data": payment}},
        }
    }
    if request.seed:
        body["meta"] = {"seed": request.seed}
    return body


def common(request: ProduceRequest | ContinueRequest) -> dict[str, Any]:
    """What the intent of every part holds: the payment, by which a lost line is found, and what was asked for."""
    return {
        "ident": request.payment.ident,
        "size": request.size,
        "snapshot": request.snapshot,
        "format": request.format,
        "analysis": request.analysis,
    }
