"""What was promised of a file, what was found, and by which rule its digest was made."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.artifacts import Artifact, DigestOf, DigestRule, Inspector, Verification
from jobs.errors import ArtifactError, DigestMismatch, LineCountMismatch, PackingMismatch, SizeMismatch

BOUNDED = settings(deadline=None, database=None, max_examples=150)

#: Written down once more, straight from hashlib.
RULES: dict[DigestRule, Callable[[bytes, bytes], str]] = {
    DigestRule.PLAIN: lambda seed, content: hashlib.sha256(content).hexdigest(),
    DigestRule.SEED_BEFORE: lambda seed, content: hashlib.sha256(seed + content).hexdigest(),
    DigestRule.SEED_AFTER: lambda seed, content: hashlib.sha256(content + seed).hexdigest(),
    DigestRule.HMAC: lambda seed, content: hmac.new(seed, content, hashlib.sha256).hexdigest(),
}
CONTENT = b"A1B2\nC3D4\nE5F6"


def _inspect(artifact: Artifact, *chunks: bytes) -> Inspector:
    inspector = Inspector(artifact)
    for chunk in chunks:
        inspector.update(chunk)
    return inspector


def _cut(content: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[start:end] for start, end in itertools.pairwise(edges)]


def test_every_rule_is_covered_here() -> None:
    """A rule that is added must be added to these tests."""
    assert set(RULES) == set(DigestRule)


@pytest.mark.parametrize("rule", list(DigestRule))
@pytest.mark.parametrize("chunks", [(CONTENT,), (CONTENT[:5], b"", CONTENT[5:])], ids=["whole", "pieces"])
def test_each_rule_is_found(rule: DigestRule, chunks: tuple[bytes, ...]) -> None:
    """The rule by which the promised digest was made is recognised."""
    promise = Artifact("a.txt", size=len(CONTENT), lines=3, sha256=RULES[rule](b"seed", CONTENT), seed="seed")
    assert _inspect(promise, *chunks).matching_rule() is rule


@given(
    content=st.binary(max_size=300),
    places=st.lists(st.integers(0, 300), max_size=6),
    rule=st.sampled_from(DigestRule),
    seed=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100),
    upper=st.booleans(),
)
@BOUNDED
def test_any_chunking_gives_the_same(
    content: bytes, places: list[int], rule: DigestRule, seed: str, upper: bool
) -> None:
    """Size, lines and every digest depend on the bytes alone, not on how they came."""
    digest = RULES[rule](seed.encode(), content)
    lines = content.count(b"\n") + 1 if content else 0
    promise = Artifact("a.txt", size=len(content), lines=lines, sha256=digest.upper() if upper else digest, seed=seed)
    inspector = _inspect(promise, *_cut(content, places))
    assert (inspector.size, inspector.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    # Two rules may give the same digest, those of an empty file for example: then the first one is meant.
    meant = next(rule for rule in DigestRule if RULES[rule](seed.encode(), content) == digest)
    assert inspector.matching_rule() is meant
    assert inspector.matching_rule() is meant  # asking again changes nothing


@given(content=st.binary(max_size=100), other=st.binary(max_size=100), seed=st.none() | st.text("ab", max_size=5))
@BOUNDED
def test_another_file_never_passes(content: bytes, other: bytes, seed: str | None) -> None:
    """With a promised digest only the promised bytes pass, under any rule."""
    promise = Artifact("a.txt", sha256=RULES[DigestRule.PLAIN](b"", content), seed=seed)
    if other == content:
        assert _inspect(promise, other).matching_rule() is DigestRule.PLAIN
    else:
        with pytest.raises(DigestMismatch):
            _inspect(promise, other).matching_rule()


@pytest.mark.parametrize("rule", [DigestRule.SEED_BEFORE, DigestRule.SEED_AFTER, DigestRule.HMAC])
@pytest.mark.parametrize("seed", [None, "", "another seed"])
def test_a_seeded_digest_needs_its_seed(rule: DigestRule, seed: str | None) -> None:
    """Without the right seed a seeded digest is a mismatch."""
    promise = Artifact("a.txt", sha256=RULES[rule](b"seed", CONTENT), seed=seed)
    with pytest.raises(DigestMismatch):
        _inspect(promise, CONTENT).matching_rule()


@pytest.mark.parametrize("rule", [DigestRule.SEED_BEFORE, DigestRule.SEED_AFTER, DigestRule.HMAC])
def test_from_rest_only_the_recorded_rule_counts(rule: DigestRule) -> None:
    """Once a rule is known the file must satisfy that very rule again."""
    stored = Artifact("a.txt", sha256=RULES[rule](b"seed", CONTENT), seed="seed", rule=rule)
    assert _inspect(stored, CONTENT).matching_rule() is rule
    for other in set(DigestRule) - {rule}:
        with pytest.raises(DigestMismatch):
            _inspect(replace(stored, rule=other), CONTENT).matching_rule()


def test_without_a_digest_there_is_no_rule() -> None:
    """No promise is no rule: size and lines are right, and the file is unverified."""
    assert _inspect(Artifact("a.txt", size=14, lines=3, seed="seed"), CONTENT).matching_rule() is None
    assert _inspect(Artifact("a.txt"), CONTENT).matching_rule() is None


@pytest.mark.parametrize("seed", [None, "seed"])
def test_an_empty_file(seed: str | None) -> None:
    """Nothing has no bytes, no lines, and a digest all the same."""
    digest = hashlib.sha256(b"").hexdigest()
    promise = Artifact("a.txt", size=0, lines=0, sha256=digest, seed=seed)
    for chunks in ([], [b""], [b"", b""]):
        inspector = _inspect(promise, *chunks)
        assert (inspector.size, inspector.sha256) == (0, digest)
        assert inspector.matching_rule() is DigestRule.PLAIN
    with pytest.raises(LineCountMismatch):
        _inspect(replace(promise, lines=1)).matching_rule()


@pytest.mark.parametrize(
    ("content", "lines"), [(b"a", 1), (b"a\nb", 2), (b"\n", 2), (b"a\r\nb", 2), (b"a\n\nb", 3), (b"", 0)]
)
def test_lines_are_counted_between_newlines(content: bytes, lines: int) -> None:
    """One newline stands between two lines, and none after the last."""
    assert _inspect(Artifact("a.txt", lines=lines), content).matching_rule() is None


@pytest.mark.parametrize(
    ("promise", "kind", "expected", "actual"),
    [
        (Artifact("a.txt", size=13), SizeMismatch, 13, 14),
        (Artifact("a.txt", size=0), SizeMismatch, 0, 14),
        (Artifact("a.txt", lines=4), LineCountMismatch, 4, 3),
        (Artifact("a.txt", sha256="0" * 64), DigestMismatch, "0" * 64, hashlib.sha256(CONTENT).hexdigest()),
        (Artifact("a.txt", sha256="F" * 64), DigestMismatch, "f" * 64, hashlib.sha256(CONTENT).hexdigest()),
        (Artifact("a.txt", sha256=""), DigestMismatch, "", hashlib.sha256(CONTENT).hexdigest()),
        (Artifact("a.txt", sha256="no digest: ü", seed="s"), DigestMismatch, "no digest: ü", None),
    ],
)
def test_a_mismatch_says_what_was_promised_and_found(
    promise: Artifact, kind: type[ArtifactError], expected: object, actual: object
) -> None:
    """The error names the file, the promise and the finding, and never the seed."""
    with pytest.raises(kind) as caught:
        _inspect(replace(promise, seed=promise.seed and "a secret seed"), CONTENT).matching_rule()
    error = caught.value
    assert (error.artifact, error.expected) == ("a.txt", expected)
    assert error.actual == actual or actual is None
    assert str(error) == f"a.txt: expected {kind.what} {expected}, found {error.actual}"
    assert "secret" not in str(error)


def test_the_size_is_judged_first() -> None:
    """A file that was cut off is told as such, not as a wrong digest."""
    with pytest.raises(SizeMismatch):
        _inspect(Artifact("a.txt", size=1, lines=1, sha256="0" * 64), CONTENT).matching_rule()
    with pytest.raises(LineCountMismatch):
        _inspect(Artifact("a.txt", size=14, lines=1, sha256="0" * 64), CONTENT).matching_rule()


def test_callers_see_neither_link_nor_seed() -> None:
    """What is public tells where the file is and how far it was checked."""
    stored = Artifact(
        "a.txt",
        link="/files/1?key=secret",
        size=14,
        sha256="0" * 64,
        seed="secret",
        uri="file:///a.txt",
        stored_size=14,
        stored_sha256="1" * 64,
        rule=DigestRule.HMAC,
        verification=Verification.VERIFIED,
    )
    assert stored.public() == {
        "name": "a.txt",
        "uri": "file:///a.txt",
        "size": 14,
        "sha256": "1" * 64,
        "promised_sha256": "0" * 64,
        "digest_rule": "hmac",
        "verification": "verified",
    }
    assert Artifact("a.txt", seed="secret").public() == {"name": "a.txt", "verification": "pending"}


def test_a_new_artifact_is_not_verified() -> None:
    """Only a look says that a file is what was promised."""
    assert Artifact("a.txt").verification is Verification.PENDING
    assert Artifact.from_json({"name": "a.txt"}).verification is Verification.PENDING


# --- gzip ----------------------------------------------------------------------------------------------------------

PACKED = gzip.compress(CONTENT, mtime=0)


@pytest.mark.parametrize("rule", list(DigestRule))
@pytest.mark.parametrize("of", list(DigestOf))
def test_of_a_packed_file_either_digest_may_be_promised(of: DigestOf, rule: DigestRule) -> None:
    """Size and lines are those of the content; which bytes gave the digest is told."""
    digest = RULES[rule](b"seed", PACKED if of is DigestOf.FILE else CONTENT)
    promise = Artifact("a.gz", size=len(CONTENT), lines=3, sha256=digest, seed="seed", packed=True)
    for chunks in ((PACKED,), tuple(PACKED[place : place + 1] for place in range(len(PACKED)))):
        inspector = _inspect(promise, *chunks)
        assert (inspector.matching_rule(), inspector.digest_of) == (rule, of)
        assert (inspector.size, inspector.content_size) == (len(PACKED), len(CONTENT))
        assert inspector.sha256 == hashlib.sha256(PACKED).hexdigest()
    assert _inspect(replace(promise, rule=rule), PACKED).matching_rule() is rule


def test_a_packed_file_must_be_whole_and_gzip() -> None:
    """Whatever else is right about it."""
    promise = Artifact("a.gz", packed=True)
    assert _inspect(promise, PACKED).matching_rule() is None
    for content in (PACKED[:-1], b"", PACKED[:3]):
        with pytest.raises(PackingMismatch, match="cut off"):
            _inspect(promise, content).matching_rule()
    for content in (CONTENT, PACKED + b"more"):
        with pytest.raises(PackingMismatch, match="something else"):
            _inspect(promise, content)


def test_a_packed_file_that_holds_more_than_promised_is_not_unpacked_to_its_end() -> None:
    """A small file may hold a very large one."""
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(SizeMismatch, match="at least"):
        _inspect(Artifact("a.gz", size=100, packed=True), bomb)
    with pytest.raises(DigestMismatch):
        _inspect(Artifact("a.gz", sha256="0" * 64, packed=True), PACKED).matching_rule()
    with pytest.raises(LineCountMismatch):
        _inspect(Artifact("a.gz", lines=1, packed=True), PACKED).matching_rule()


@pytest.mark.parametrize("packed", [True, False])
def test_a_reader_gets_the_content(packed: bool) -> None:
    """Unpacked, if it is packed."""
    seen: list[bytes] = []
    inspector = Inspector(Artifact("a", packed=packed), seen.append)
    inspector.update(PACKED if packed else CONTENT)
    assert b"".join(seen) == CONTENT


def test_what_is_new_is_kept_and_shown() -> None:
    """A record without the new fields reads as before; callers see that lines differ only once it was checked."""
    stored = Artifact("a.gz", packed=True, distinct=True, rule=DigestRule.PLAIN, digest_of=DigestOf.FILE)
    assert Artifact.from_json(stored.to_json()) == stored
    assert Artifact("a").to_json() == {"name": "a", "verification": "pending"}
    assert "distinct" not in stored.public()
    shown = replace(stored, verification=Verification.UNVERIFIED).public()
    assert (shown["distinct"], shown["digest_of"]) == (True, "file")
