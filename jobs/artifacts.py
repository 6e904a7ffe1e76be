"""Artifacts: what a provider promised about a file, what was found, and the rules by which a digest may be made.

How Unique Tokens' `filehashes` depend on `meta.seed` is documented nowhere (contract unique-tokens 6.6), so every known
rule is tried and the one that matched is recorded. No digest at all is `unverified`, and said aloud. Of a gzip file the
digest may be that of the file or that of what it holds: both are tried, and it is recorded, too, which one it was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

from jobs.errors import DigestMismatch, LineCountMismatch, PackingMismatch, SizeMismatch
from jobs.packing import Gunzip


class DigestRule(StrEnum):
    """How the published SHA-256 of a file may have been made from the file and the seed."""

    PLAIN = "plain"  #: SHA-256(file)
    SEED_BEFORE = "seed_before"  #: SHA-256(seed + file)
    SEED_AFTER = "seed_after"  #: SHA-256(file + seed)
    HMAC = "hmac"  #: HMAC-SHA-256(key=seed, file)


class DigestOf(StrEnum):
    """Which bytes of a gzip file gave the promised digest."""

    FILE = "file"  #: those of the file, packed as it is
    CONTENT = "content"  #: those that it holds


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
    packed: bool = False  #: it is gzip: size and lines are promised of what it holds, the digest of either
    distinct: bool = False  #: no two of its lines are the same; checked when it is read from rest
    uri: str | None = None  #: where it is stored
    stored_size: int | None = None
    stored_sha256: str | None = None  #: plain SHA-256 of the stored bytes
    rule: DigestRule | None = None  #: the rule that gave the promised digest
    digest_of: DigestOf | None = None  #: of a gzip file: which bytes gave it
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
            "digest_of": self.digest_of.value if self.digest_of else None,
            "distinct": True if self.distinct and self.verification is not Verification.PENDING else None,
            "verification": self.verification.value,
        }
        return {key: value for key, value in seen.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """All fields that are set, as JSON types."""
        return {key: value for key, value in asdict(self).items() if value is not None and value is not False}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Artifact:
        """The artifact that `to_json` wrote."""
        known = dict(raw)
        if known.get("rule"):
            known["rule"] = DigestRule(known["rule"])
        if known.get("digest_of"):
            known["digest_of"] = DigestOf(known["digest_of"])
        known["verification"] = Verification(known.get("verification", Verification.PENDING))
        return cls(**known)


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...

    def copy(self) -> _Hash: ...


class _Digests:
    """The digest of some bytes under each possible rule.

    Args:
        artifact: what was promised.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.plain = hashlib.sha256()
        self._seed = (artifact.seed or "").encode()
        self._rules: dict[DigestRule, _Hash] = {}
        if artifact.seed and artifact.sha256:
            self._rules = {
                DigestRule.SEED_BEFORE: hashlib.sha256(self._seed),
                DigestRule.SEED_AFTER: hashlib.sha256(),
                DigestRule.HMAC: hmac.new(self._seed, digestmod=hashlib.sha256),
            }
            if artifact.rule is not None:
                self._rules = {rule: h for rule, h in self._rules.items() if rule == artifact.rule}

    def update(self, chunk: bytes) -> None:
        self.plain.update(chunk)
        for digest in self._rules.values():
            digest.update(chunk)

    def rule_for(self, expected: str) -> DigestRule | None:
        """The rule that gives this digest, if any does."""
        # Digests are public: a plain comparison gives nothing away, and takes any text that a provider may send.
        if self.plain.hexdigest() == expected:
            return DigestRule.PLAIN
        for rule, digest in self._rules.items():
            whole = digest.copy()
            if rule is DigestRule.SEED_AFTER:
                whole.update(self._seed)
            if whole.hexdigest() == expected:
                return rule
        return None


class Inspector:
    """Looks at the bytes of an artifact as they pass: length, lines, and its digest under each possible rule.

    Args:
        artifact: what was promised.
        reader: also given the content: the bytes of the file, unpacked if it is packed.
    """

    def __init__(self, artifact: Artifact, reader: Callable[[bytes], None] | None = None) -> None:
        self._artifact, self._reader = artifact, reader
        self.size = 0  #: of the file, bytes
        self.content_size = 0  #: of what it holds, bytes; the same unless it is packed
        self.digest_of: DigestOf | None = None  #: known once a rule matched, of a packed file
        self._newlines = 0
        self._file = _Digests(artifact)
        self._gunzip = Gunzip() if artifact.packed else None
        self._content = _Digests(artifact) if artifact.packed and artifact.sha256 else None

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            PackingMismatch: it is not packed as promised.
            SizeMismatch: it holds more than was promised; no more of it is unpacked.
        """
        self.size += len(chunk)
        self._file.update(chunk)
        if self._gunzip is None:
            self._look(chunk)
            return
        try:
            for piece in self._gunzip.feed(chunk):
                if self._content is not None:
                    self._content.update(piece)
                self._look(piece)
                if self._artifact.size is not None and self.content_size > self._artifact.size:
                    raise SizeMismatch(self._artifact.name, self._artifact.size, f"at least {self.content_size}")
        except ValueError:
            raise PackingMismatch(self._artifact.name, "gzip", "something else") from None

    def _look(self, content: bytes) -> None:
        self.content_size += len(content)
        if self._artifact.lines is not None:
            self._newlines += content.count(b"\n")
        if self._reader is not None:
            self._reader(content)

    @property
    def sha256(self) -> str:
        """The plain SHA-256 of the file as it passed, lower-case hex."""
        return self._file.plain.hexdigest()

    def matching_rule(self) -> DigestRule | None:
        """Check the whole file against the promise.

        Returns:
            The rule that gave the promised digest; none if no digest was promised.

        Raises:
            PackingMismatch: it ends in the middle of what it holds.
            SizeMismatch: its length differs.
            LineCountMismatch: its number of lines differs (one newline between lines, none after the last).
            DigestMismatch: no known rule gives the promised digest.
        """
        promised = self._artifact
        if self._gunzip is not None and not self._gunzip.whole:
            raise PackingMismatch(promised.name, "gzip", "gzip that is cut off")
        if promised.size is not None and self.content_size != promised.size:
            raise SizeMismatch(promised.name, promised.size, self.content_size)
        if promised.lines is not None:
            lines = self._newlines + 1 if self.content_size else 0
            if lines != promised.lines:
                raise LineCountMismatch(promised.name, promised.lines, lines)
        if promised.sha256 is None:
            return None
        expected = promised.sha256.lower()
        if self._content is None:
            rule = self._file.rule_for(expected)
        else:
            rule, self.digest_of = self._content.rule_for(expected), DigestOf.CONTENT
            if rule is None:
                rule, self.digest_of = self._file.rule_for(expected), DigestOf.FILE
        if rule is None:
            raise DigestMismatch(promised.name, expected, self.sha256)
        return rule
