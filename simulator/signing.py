"""ES256 JWTs whose header holds the public key (contract commonsdb 2.4)."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from simulator.identifiers import javascript_json

# Registered claims are left out of the comparison with the body (contract commonsdb 2.4).
_REGISTERED = frozenset({"iat", "exp", "nbf", "iss", "sub", "aud", "jti"})


class SignatureError(ValueError):
    """A JWT is malformed, not ES256, without a usable `jwk`, wrongly signed or expired."""


def new_key() -> ECKey:
    """Make a private P-256 key."""
    return ECKey.generate_key("P-256", private=True)


def sign(claims: Mapping[str, Any], key: ECKey) -> str:
    """Sign `claims` as a compact JWT, keeping their key order at every depth."""
    header = {"alg": "ES256", "typ": "JWT", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, dict(claims), key, algorithms=["ES256"])


def verify(token: str, now: float, *, keyed: bool = True) -> dict[str, Any]:
    """Give the claims of a compact JWT signed with the key in its own header; raises `SignatureError`.

    `now` is in epoch seconds, for `exp`. `keyed` refuses a header without `jwk`, whose signature nobody can check.
    """
    header = _json_part(token.split(".")[0])
    if header.get("alg") != "ES256":
        raise SignatureError("alg is not ES256")
    if "jwk" not in header and not keyed:
        return _json_part(token.split(".")[1])
    if not isinstance(header.get("jwk"), dict):
        raise SignatureError("no jwk in the header and no pinned key")
    try:
        key = ECKey.import_key(header["jwk"])
        payload = jws.deserialize_compact(token, key, algorithms=["ES256"]).payload
        claims = json.loads(payload)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise SignatureError("signature verification failed") from error
    if not isinstance(claims, dict):
        raise SignatureError("the claims are not an object")
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires <= now:
        raise SignatureError('"exp" claim timestamp check failed')
    return claims


def mismatches(claims: Mapping[str, Any], body: Mapping[str, Any], required: tuple[str, ...] = ()) -> list[str]:
    """List the signed claims that differ from `body` as serialized JSON text, and required ones not signed.

    One-way: a key of `body` that is missing from the claims goes unnoticed (contract commonsdb 2.4).
    """
    problems = [f"{name}: missing from the signed claims" for name in required if name not in claims]
    for name, value in claims.items():
        if name in _REGISTERED:
            continue
        if name not in body:
            problems.append(f"{name}: signed but not in the body")
        elif javascript_json(value) != javascript_json(body[name]):
            problems.append(f"{name}: differs from the signed value")
    return problems


def _json_part(part: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error) as error:
        raise SignatureError("the header is not readable") from error
    if not isinstance(value, dict):
        raise SignatureError("the header is not an object")
    return value
