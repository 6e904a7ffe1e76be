"""Valid inputs for the four APIs, for demos and tests. All values are invented."""

import base64
import hashlib
import json
import time
import uuid
from functools import lru_cache
from typing import Any

import httpx
from joserfc.jwk import ECKey

from simulator import signing, tsa
from simulator.identifiers import cid_v1
from simulator.world import DEFAULT_DID

__all__ = [
    "certificate_request",
    "cid_v1",
    "conversion",
    "credential",
    "declaration",
    "iscc",
    "payment",
    "plain_metadata",
    "plain_registry",
    "public_metadata",
    "sha256_of",
    "signing_jwk",
    "signing_key",
    "tokens_request",
]

_RIGHTS = "https://creativecommons.org/licenses/by/4.0/"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@lru_cache(maxsize=1)
def signing_key() -> ECKey:
    """Give the P-256 key of this process with which samples are signed."""
    return signing.new_key()


def iscc(name: str) -> str:
    """Give an ISCC with 55 characters, the same for the same name."""
    digest = hashlib.sha512(name.encode()).digest()
    return "ISCC:K" + "".join(_BASE32[byte % 32] for byte in digest[:54])


def signing_jwk() -> str:
    """Give that key as a private JWK in JSON, as an operator would configure it."""
    return json.dumps(signing_key().as_dict(private=True))


def credential(did: str = DEFAULT_DID) -> dict[str, Any]:
    """Build a verifiable credential of the supplier (contract commonsdb 2.2)."""
    return {
        "id": "urn:uuid:11111111-2222-4333-8444-555555555555",
        "type": ["VerifiableCredential", "VerifiableSupplier"],
        "issuer": "did:web:issuer.example",
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "validFrom": "2026-01-01T00:00:00.000Z",
        "validUntil": "2029-01-01T00:00:00.000Z",
        "credentialSubject": {"id": did, "sameAs": "Example Archive"},
        "proof": {"type": "JwtProof2020", "jwt": "aaa.bbb.ccc"},
    }


def plain_metadata(name: str, **more: Any) -> dict[str, Any]:
    """Describe a work as a caller would who leaves time, signature and credentials to somebody else."""
    return {
        "iscc": iscc(name),
        "name": name,
        "description": "Invented sample work",
        "mediatype": "image/jpeg",
        "version": 1,
        "sourceUrl": "https://collection.example/items/42",
        "supplierMetadata": {
            "location": "https://collection.example/items/42",
            "name": name,
            "rightsStatement": _RIGHTS,
        },
        **more,
    }


def plain_registry(**more: Any) -> dict[str, Any]:
    """Describe where a work is and what may be done with it."""
    return {"location": "https://collection.example/items/42", "rightsStatement": _RIGHTS, **more}


def public_metadata(
    *, name: str, now_ms: int | None = None, did: str = DEFAULT_DID, supersedes: str | None = None, **more: Any
) -> dict[str, Any]:
    """Build a `publicMetadata` (contract commonsdb 2.2); `now_ms` in Unix milliseconds, None for now.

    Its identifier is `cid_v1(...)` of it.
    """
    metadata: dict[str, Any] = {
        "$schema": "https://w3id.org/commonsdb/schema/0.2.0.json",
        "@context": "https://w3id.org/commonsdb/context/0.2.0.json",
        "iscc": iscc(name),
        "name": name,
        "description": "Invented sample work",
        "mediatype": "image/jpeg",
        "timestamp": round(time.time() * 1000) if now_ms is None else now_ms,
        "declarerId": did,
        "version": 1,
        "sourceUrl": "https://collection.example/items/42",
        "credentials": [credential(did)],
        "supplierMetadata": {
            "location": "https://collection.example/items/42",
            "name": name,
            "rightsStatement": _RIGHTS,
        },
    }
    if supersedes is not None:
        metadata["supersedes"] = supersedes
    metadata.update(more)
    return metadata


def _stamp(token: str, tsa_url: str | None, moment: float, algorithm: str) -> dict[str, str]:
    query = tsa.make_query(token.encode(), algorithm)
    if tsa_url is None:
        reply = tsa.make_reply(query, moment, 1)
    else:
        headers = {"Content-Type": tsa.QUERY_TYPE}
        response = httpx.post(tsa_url, content=query, headers=headers, timeout=10.0, trust_env=False)
        response.raise_for_status()
        reply = response.content
    return {"tsq": base64.b64encode(query).decode(), "tsr": base64.b64encode(reply).decode()}


def declaration(
    base_url: str | None = None,
    *,
    name: str,
    now_ms: int | None = None,
    registry: bool = False,
    did: str = DEFAULT_DID,
    supersedes: str | None = None,
    key: ECKey | None = None,
    algorithm: str = "sha512",
    **more: Any,
) -> dict[str, Any]:
    """Build a complete declare body, signed and time-stamped (contract commonsdb 2.1).

    `base_url` is the commonsdb base URL of a simulator, whose /tsa then makes the stamps (a blocking call); None
    makes them here. `now_ms` is in Unix milliseconds. `more` goes into `publicMetadata`.
    """
    moment = round(time.time() * 1000) if now_ms is None else now_ms
    private = key or signing_key()
    tsa_url = None if base_url is None else base_url.removesuffix("/commonsdb") + "/tsa"
    public = public_metadata(name=name, now_ms=moment, did=did, supersedes=supersedes, **more)
    signature = signing.sign(public, private)
    body: dict[str, Any] = {
        "signature": signature,
        "tsaSignature": _stamp(signature, tsa_url, moment / 1000, algorithm),
        "declarationMetadata": {"publicMetadata": public},
    }
    if registry:
        block = {
            "iscc": public["iscc"],
            "location": "https://collection.example/items/42",
            "rightsStatement": _RIGHTS,
            "timestamp": moment,
            "credentials": [{"proof": "aaa.bbb.ccc"}],
        }
        token = signing.sign(block, private)
        body["commonsDbRegistrySignature"] = token
        body["commonsDbRegistryTsaSignature"] = _stamp(token, tsa_url, moment / 1000, algorithm)
        body["declarationMetadata"]["commonsDbRegistry"] = block
    return body


def sha256_of(text: str) -> str:
    """Give the SHA-256 of a text as 64 lower-case hex characters."""
    return hashlib.sha256(text.encode()).hexdigest()


def certificate_request(name: str = "Harbour at dusk, master file", **changes: Any) -> dict[str, Any]:
    """Build a myIPR create body (contract myipr 2.1); the hash follows from the name."""
    body: dict[str, Any] = {
        "name": name,
        "category_id": "10",
        "file_source": "client-hash",
        "hash": sha256_of(name),
        "size": "1079",
    }
    return {**body, **changes}


def payment(name: str = "order-1") -> dict[str, str]:
    """Build a payment confirmation (contract unique-tokens 5); the same for the same name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {
        "type": "transaction",
        "id": str(uuid.UUID(digest[:32], version=4)),
        "ident": f"pi_{digest[:24]}",
    }


def tokens_request(
    *,
    alphabet: str = "UPPER_HEX",
    digits: int | str = "12",
    size: int | str = "2000",
    seed: str | None = "5b8df35d-391c-49d1-9a86-991e2601f3e5",
    paid_by: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Build a production order (contract unique-tokens 6.1); `seed` None leaves `meta` out."""
    meta = {} if seed is None else {"meta": {"seed": seed}}
    return {
        **meta,
        "data": {
            "type": "tokens",
            "attributes": {"alphabet": alphabet, "digits": digits, "size": size},
            "relationships": {"payment": {"data": paid_by or payment()}},
        },
    }


def conversion(order_id: str = "SO-100471", **changes: Any) -> dict[str, Any]:
    """Build one conversion record (contract lettrlabs 4); POST takes an array of them."""
    record: dict[str, Any] = {
        "firstName": "Ines",
        "lastName": "Moreau",
        "primaryEmail": "ines.moreau@example.org",
        "primaryPhoneNumber": "5550100123",
        "primaryAddress": {
            "address1": "12 Sample Road",
            "city": "Springfield",
            "state": "IL",
            "zipCode": "62701",
        },
        "revenue": 129.5,
        "orderId": order_id,
        "uniqueId": f"row-{order_id}",
        "eventDate": "2026-03-04T16:20:00Z",
    }
    return {**record, **changes}
