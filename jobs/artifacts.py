"""Artifacts: what a provider promised about a file, what was found, and the rules by which a digest may be made.

How Unique Tokens' `filehashes` depend on `meta.seed` is documented nowhere (contract unique-tokens 6.6), so every known
rule is tried and the one that matched is recorded. No digest at all is `unverified`, and said aloud.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

from jobs.errors import DigestMismatch, LineCountMismatch, SizeMismatch


class DigestRule(StrEnum):
    """How the published SHA-256 of a file may have been made from the file and the seed."""

    PLAIN = "plain"  #: SHA-256(file)
    SEED_BEFORE = "seed_before"  #: SHA-256(seed + file)
    SEED_AFTER = "seed_after"  #: SHA-256(file + seed)
    HMAC = "hmac"  #: HMAC-SHA-256(key=seed, file)


class Verification(StrEnum):
    """How far a stored file was checked."""

    PENDING = "pending"  #: not read again from rest yet
    VERIFIED = "verified"  #: its SHA-256 is the promised one, while writing and again from rest
    UNVERIFIED = "unverified"  #: no digest was promised; length (and lines) are right, and it reads back the same


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a provider produced: first what was promised, then what was found."""

    name: str  #: the file name it is stored under, inside the job's own folder
    link: str | None = None  #: where the provider offers it; none when it must be asked for at the time of use
    size: int | None = None  #: promised length in bytes
    lines: int | None = None  #: promised number of lines
    sha256: str | None = None  #: promised digest, lower-case hex
    seed: str | None = None  #: what may enter the digest; a secret of the caller
    uri: str | None = None  #: where it is stored
    stored_size: int | None = None
    stored_sha256: str | None = None  #: plain SHA-256 of the stored bytes
    rule: DigestRule | None = None  #: the rule that gave the promised digest
    verification: Verification = Verification.PENDING

    def public(self) -> dict[str, Any]:
        """What callers see of it."""
        seen = {
            "name": self.name,
            "uri": self.uri,
            "size": self.stored_size,
            "sha256": self.stored_sha256,
            "promised_sha256": self.sha256,
            "digest_rule": self.rule.value if self.rule else None,
            "verification": self.verification.value,
        }
        return {key: value for key, value in seen.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """All fields that are set, as JSON types."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Artifact:
        """The artifact that `to_json` wrote."""
        known = dict(raw)
        if known.get("rule"):
            known["rule"] = DigestRule(known["rule"])
        known["verification"] = Verification(known.get("verification", Verification.PENDING))
        return cls(**known)


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...

    def copy(self) -> _Hash: ...


class Inspector:
    """Looks at the bytes of an artifact as they pass: length, lines, and its digest under each possible rule.

    Args:
        artifact: what was promised.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.size = 0
        self._newlines = 0
        self._plain = hashlib.sha256()
        self._rules: dict[DigestRule, _Hash] = {}
        if artifact.seed and artifact.sha256:
            seed = artifact.seed.encode()
            self._rules = {
                DigestRule.SEED_BEFORE: hashlib.sha256(seed),
                DigestRule.SEED_AFTER: hashlib.sha256(),
                DigestRule.HMAC: hmac.new(seed, digestmod=hashlib.sha256),
            }
            if artifact.rule is not None:
                self._rules = {rule: h for rule, h in self._rules.items() if rule == artifact.rule}

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        self.size += len(chunk)
        self._plain.update(chunk)
        for digest in self._rules.values():
            digest.update(chunk)
        if self._artifact.lines is not None:
            self._newlines += chunk.count(b"\n")

    @property
    def sha256(self) -> str:
        """The plain SHA-256 of what passed, lower-case hex."""
        return self._plain.hexdigest()

    def matching_rule(self) -> DigestRule | None:
        """Check the whole file against the promise.

        Returns:
            The rule that gave the promised digest; none if no digest was promised.

        Raises:
            SizeMismatch: its length differs.
            LineCountMismatch: its number of lines differs (one newline between lines, none after the last).
            DigestMismatch: no known rule gives the promised digest.
        """
        promised = self._artifact
        if promised.size is not None and self.size != promised.size:
            raise SizeMismatch(promised.name, promised.size, self.size)
        if promised.lines is not None:
            lines = self._newlines + 1 if self.size else 0
            if lines != promised.lines:
                raise LineCountMismatch(promised.name, promised.lines, lines)
        if promised.sha256 is None:
            return None
        # Digests are public: a plain comparison gives nothing away, and takes any text that a provider may send.
        expected = promised.sha256.lower()
        if self.sha256 == expected:
            return DigestRule.PLAIN
        for rule, digest in self._rules.items():
            whole = digest.copy()
            if rule is DigestRule.SEED_AFTER and promised.seed:
                whole.update(promised.seed.encode())
            if whole.hexdigest() == expected:
                return rule
        raise DigestMismatch(promised.name, expected, self.sha256)
