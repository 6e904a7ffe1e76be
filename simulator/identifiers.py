"""The CommonsDB identifier `cidV1`, and JSON as JavaScript writes it (contract commonsdb 2.7)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def _plain(value: Any) -> Any:
    """Turn numbers into what JSON.stringify prints: a whole float without its fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def javascript_json(value: Any) -> str:
    """Serialize like JSON.stringify: compact, key order kept, non-ASCII characters as they are."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _only(value: Any, keys: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _only(value[key], keys) for key in keys if key in value}
    if isinstance(value, list | tuple):
        return [_only(item, keys) for item in value]
    return value


def cid_v1(public_metadata: Mapping[str, Any]) -> str:
    """Compute the identifier of a declaration from its `publicMetadata`: 57 characters.

    At every depth only keys that also occur at top level count, in ascending order. The result is not a
    standard CIDv1 (contract commonsdb 2.7).
    """
    keys = sorted(public_metadata, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    text = javascript_json(_only(public_metadata, keys))
    number = int.from_bytes(b"\x01\x0c\x12\x20" + hashlib.sha256(text.encode()).digest())
    letters = []
    while number:
        number, rest = divmod(number, 32)
        letters.append(_BASE32[rest])
    return "".join(reversed(letters))
