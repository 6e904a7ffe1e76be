"""Samples, identifiers and files: values that can be checked without a server."""

import json
from typing import Any

import pytest

from simulator import samples, token_files, tsa
from simulator.identifiers import cid_v1

EXAMPLE: dict[str, Any] = {
    "$schema": "https://w3id.org/commonsdb/schema/0.2.0.json",
    "@context": "https://w3id.org/commonsdb/context/0.2.0.json",
    "iscc": "ISCC:KECUJZDEGXDNCF32EPF3DHODZDOCIS2JHTLGMXGEDN73U55XTPLPFT7",
    "name": "Harbour at dusk",
    "description": "Invented sample work",
    "mediatype": "image/jpeg",
    "timestamp": 1790000000000,
    "declarerId": "did:key:zExampleSupplierKey0000000000000000000000000000000000000000000000000000",
    "version": 1,
    "sourceUrl": "https://collection.example/items/42",
    "credentials": [
        {
            "id": "urn:uuid:11111111-2222-4333-8444-555555555555",
            "type": ["VerifiableCredential", "VerifiableSupplier"],
            "issuer": "did:web:issuer.example",
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "validFrom": "2026-01-01T00:00:00.000Z",
            "validUntil": "2029-01-01T00:00:00.000Z",
            "credentialSubject": {
                "id": "did:key:zExampleSupplierKey0000000000000000000000000000000000000000000000000000",
                "sameAs": "Example Archive",
                "dataSupplierFor": "registry.commonsdb.org",
            },
            "proof": {"type": "JwtProof2020", "jwt": "aaa.bbb.ccc"},
        }
    ],
    "supplierMetadata": {
        "location": "https://collection.example/items/42",
        "name": "Harbour at dusk",
        "rightsStatement": "https://creativecommons.org/licenses/by/4.0/",
    },
}


@pytest.mark.parametrize(
    ("metadata", "identifier"),
    [
        ({"a": 1, "b": 2}, "bbqjcaqzfrt7xqp7hanwyuqydh6bqvx6gb3adoobeonkivr2cxcecsj3x"),
        ({"iscc": "ISCC:ABC", "name": "demo"}, "bbqjcbutvpgdlzp6rw3kxqavahjygpfb4gxynt7xwydppqa7fjk6a35lj"),
        (EXAMPLE, "bbqjcaqrv2h3pwe4iqxkiq5z2gwvinvl6ejiix6yuyvh74g4tnslu443g"),
    ],
)
def test_identifiers_have_the_check_values(metadata: dict[str, Any], identifier: str) -> None:
    """The check values of contract commonsdb 2.7 are reproduced."""
    assert cid_v1(metadata) == identifier
    assert cid_v1(dict(reversed(metadata.items()))) == identifier


def test_identifiers_follow_javascript() -> None:
    """A whole float counts as an integer, and text stays unescaped."""
    assert cid_v1({"a": 1.0, "b": "é"}) == cid_v1({"b": "é", "a": 1})
    assert cid_v1({"a": 1.5}) != cid_v1({"a": 1})


def test_a_stamp_is_read_back() -> None:
    """Query and reply hold the hash of what was stamped, and nothing else fits."""
    query = tsa.make_query(b"text", "sha256")
    reply = tsa.make_reply(query, 1_790_000_000, 5)
    for imprint in (tsa.read_query(query), tsa.read_reply(reply)):
        assert (imprint.algorithm, imprint.fits(b"text"), imprint.fits(b"test")) == ("sha256", True, False)


def test_spoiled_stamps_are_refused() -> None:
    """Rejections, trailing bytes and rubbish are no stamps."""
    query = tsa.make_query(b"text")
    for reply in (tsa.make_rejection(), b"", tsa.make_reply(query, 0, 1) + b"x"):
        with pytest.raises(tsa.StampError):
            tsa.read_reply(reply)
    assert len(tsa.stamp_errors({"tsq": "?", "tsr": "AAAA"}, b"text")) == 2


def test_samples_are_the_same_for_the_same_name() -> None:
    """Names decide ISCC, payment and hash, so that a run can be repeated."""
    assert samples.iscc("a") == samples.iscc("a") != samples.iscc("b")
    assert len(samples.iscc("a")) == 60
    assert samples.payment("a") == samples.payment("a") != samples.payment("b")
    assert len(samples.payment("a")["ident"]) == 27
    assert json.dumps(samples.conversion("SO-1"))


@pytest.mark.parametrize(
    ("chars", "digits", "size"), [("ab", 20, 5000), ("abc", 4, 81), ("".join(map(chr, range(300, 700))), 3, 5000)]
)
def test_token_files_are_distinct_and_repeatable(chars: str, digits: int, size: int) -> None:
    """Each part goes on where the last one ended, without a repeat."""
    half = size // 2
    first = token_files.part_text("seed", chars, digits, 0, half).decode().split("\n")
    second = token_files.part_text("seed", chars, digits, half, size - half).decode().split("\n")
    assert len({*first, *second}) == size
    assert set("".join(first)) <= set(chars)
    whole = token_files.part_text("seed", chars, digits, 0, size).decode().split("\n")
    assert whole == first + second


def test_the_checksum_is_that_of_the_missing_tokens() -> None:
    """All tokens but one leave the bits of that one."""
    chars, digits = "abc", 3
    tokens = list(token_files.tokens("seed", chars, digits))
    produced = "\n".join(tokens[:-1]).encode()
    expected = "".join(f"{ord(char):07b}" for char in tokens[-1])
    assert token_files.checksum(chars, digits, produced) == expected


def test_snapshots_are_sealed() -> None:
    """A snapshot is read back, and any change of it is noticed."""
    blob = token_files.make_snapshot({"id": "x"})
    assert token_files.read_snapshot(blob) == {"id": "x"}
    assert b"id" not in blob[:100]
    for spoiled in (b"", blob[:-1], blob[:50] + b"?" + blob[51:]):
        with pytest.raises(ValueError):
            token_files.read_snapshot(spoiled)
