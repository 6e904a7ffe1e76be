"""The files of a production line: distinct random tokens, their digests and checksum, and snapshots."""

import gzip
import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from functools import lru_cache, reduce
from itertools import islice
from typing import Any

# Below this number of possible tokens they are all drawn and shuffled: rejecting repeats would take for ever.
_DENSE = 400_000


def tokens(seed: str, chars: str, digits: int) -> Iterator[str]:
    """Draw the tokens of a line one after the other: random, distinct, the same for the same `seed`.

    Ends when all `len(chars) ** digits` tokens were given.
    """
    rng = random.Random(seed)
    total = len(chars) ** digits
    if total <= _DENSE:
        for number in rng.sample(range(total), total):
            yield _spell(number, chars, digits)
        return
    seen: set[str] = set()
    while len(seen) < total:
        text = _random_text(rng, chars, digits * 4096)
        for start in range(0, len(text), digits):
            token = text[start : start + digits]
            if token not in seen:
                seen.add(token)
                yield token


def _spell(number: int, chars: str, digits: int) -> str:
    letters = []
    for _ in range(digits):
        number, rest = divmod(number, len(chars))
        letters.append(chars[rest])
    return "".join(reversed(letters))


def _random_text(rng: random.Random, chars: str, length: int) -> str:
    """Draw `length` characters evenly. For up to 256 characters bytes are mapped at C speed."""
    count = len(chars)
    if count > 256:
        return "".join(rng.choices(chars, k=length))
    # Bytes above the largest multiple of `count` are thrown away, so that each character is equally likely.
    limit = 256 - 256 % count
    table = bytes(value % count for value in range(256))
    beyond = bytes(range(limit, 256))
    found = b""
    while len(found) < length:
        found += rng.randbytes(length + 64).translate(table, beyond)
    return found[:length].decode("latin-1").translate(dict(enumerate(chars)))


@lru_cache(maxsize=24)
def part_text(seed: str, chars: str, digits: int, offset: int, size: int) -> bytes:
    """Make the data file of a part: one token per line, no newline at the end (contract unique-tokens 6.6).

    `offset` tokens were produced by earlier parts. At most about 1 MiB, so the last few are kept.
    """
    return "\n".join(islice(tokens(seed, chars, digits), offset, offset + size)).encode()


@lru_cache(maxsize=24)
def compressed(data: bytes) -> bytes:
    """Compress a file, always to the same bytes."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def checksum(chars: str, digits: int, produced: bytes) -> str:
    """Exclusive-or all tokens that are not in `produced`, position by position, as bits.

    7 bits per position for ASCII, else as many as the highest code point has (contract unique-tokens 6.3).
    """
    everything = 0
    if len(chars) ** (digits - 1) % 2:
        parity = reduce(lambda a, b: a ^ b, map(ord, chars))
        everything = _number(chr(parity) * digits)
    rest = everything
    for token in produced.decode().split("\n") if produced else ():
        rest ^= _number(token)
    width = 7 if chars.isascii() else max(map(ord, chars)).bit_length()
    return "".join(f"{rest >> 32 * place & 0xFFFFFFFF:0{width}b}" for place in reversed(range(digits)))


def _number(token: str) -> int:
    return int.from_bytes(token.encode("utf-32-be", "surrogatepass"))


def file_hash(rule: str, seed: str | None, data: bytes) -> str:
    """Hash a file by one of the guessed rules (contract unique-tokens 10.1): 64 lower-case hex characters."""
    salt = (seed or "").encode()
    if rule == "hmac" and salt:
        return hmac.new(salt, data, hashlib.sha256).hexdigest()
    digest = hashlib.sha256(salt if rule == "seed_before" else b"")
    digest.update(data)
    if rule == "seed_after":
        digest.update(salt)
    return digest.hexdigest()


_SNAPSHOT_KEY = b"simulated snapshot"
_SNAPSHOT_BYTES = 14_720  # the size of the example in contract unique-tokens 6.7


def make_snapshot(state: dict[str, Any]) -> bytes:
    """Write the state of a line as an opaque binary blob; the same state gives the same bytes."""
    text = json.dumps(state, sort_keys=True).encode()
    body = len(text).to_bytes(4) + text
    body += hashlib.shake_256(text).digest(max(0, _SNAPSHOT_BYTES - len(body) - 32))
    tag = hmac.new(_SNAPSHOT_KEY, body, hashlib.sha256).digest()
    return tag + _mask(tag, body)


def read_snapshot(blob: bytes) -> dict[str, Any]:
    """Read a snapshot; raises ValueError when a byte of it was changed or lost."""
    tag, body = blob[:32], _mask(blob[:32], blob[32:])
    if len(blob) < 40 or not hmac.compare_digest(tag, hmac.new(_SNAPSHOT_KEY, body, hashlib.sha256).digest()):
        raise ValueError("not a snapshot")
    state: dict[str, Any] = json.loads(body[4 : 4 + int.from_bytes(body[:4])])
    return state


def _mask(tag: bytes, data: bytes) -> bytes:
    stream = hashlib.shake_256(_SNAPSHOT_KEY + tag).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))
