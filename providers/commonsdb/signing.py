"""From plain metadata to what is signed: the two blocks of a declaration, and their ES256 signatures (contract 2.4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import TypeAdapter, ValidationError

from jobs.errors import ConfigurationError
from providers.commonsdb.requests import Credential, DeclareRequest, plain_json
from providers.commonsdb.settings import CommonsDBSettings

_PUBLIC = ("kty", "crv", "x", "y")


class Signer:
    """The supplier's key, DID and credential, read once.

    Args:
        settings: name them.
    """

    def __init__(self, settings: CommonsDBSettings) -> None:
        self._settings = settings

    @cached_property
    def _key(self) -> ECKey:
        settings = self._settings
        if settings.signing_key_file is not None:
            name = "SETTLE_COMMONSDB__SIGNING_KEY_FILE"
            try:
                text = settings.signing_key_file.read_text("utf-8")
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"{name}: cannot be read ({type(error).__name__})") from None
        elif settings.signing_key is not None:
            name, text = "SETTLE_COMMONSDB__SIGNING_KEY", settings.signing_key.get_secret_value()
        else:
            raise ConfigurationError(
                "metadata can only be declared with a key: set SETTLE_COMMONSDB__SIGNING_KEY_FILE or "
                "SETTLE_COMMONSDB__SIGNING_KEY"
            )
        try:
            key = ECKey.import_key(json.loads(text) if text.lstrip().startswith("{") else text.strip())
            usable = key.is_private and key.curve_name == "P-256"
        except (JoseError, ValueError, TypeError, KeyError):  # its text may quote the key
            usable = False
        if not usable:
            raise ConfigurationError(f"{name}: is no private P-256 key; give PKCS#8 PEM without password, or JWK")
        return key

    @cached_property
    def credentials(self) -> list[dict[str, Any]]:
        """The supplier's credentials.

        Raises:
            ConfigurationError: there are none, or they cannot be read.
        """
        path = self._settings.credentials_file
        if path is None:
            raise ConfigurationError(
                "credentials: give them in metadata, or set SETTLE_COMMONSDB__CREDENTIALS_FILE for all jobs"
            )
        try:
            found = plain_json(json.loads(path.read_text("utf-8")))
            listed: list[dict[str, Any]] = found if isinstance(found, list) else [found]
            TypeAdapter(list[Credential]).validate_python(listed)
        except (OSError, ValueError, RecursionError) as error:  # pydantic's and JSON's errors are ValueErrors
            where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else ""
            raise ConfigurationError(
                f"SETTLE_COMMONSDB__CREDENTIALS_FILE: is no JSON list of credentials with proof.jwt "
                f"({type(error).__name__}{' at ' + where if where else ''})"
            ) from None
        if not listed:
            raise ConfigurationError("SETTLE_COMMONSDB__CREDENTIALS_FILE: holds no credential")
        return listed

    def check(self) -> None:
        """See that the key can be used.

        Raises:
            ConfigurationError: it cannot; the message names the setting, and quotes nothing of it.
        """
        self._key  # noqa: B018

    def public(self, request: DeclareRequest, timestamp: int) -> dict[str, Any]:
        """The `publicMetadata` of a request (contract 2.2); the same for the same time.

        Args:
            request: with plain metadata.
            timestamp: Unix milliseconds.

        Raises:
            ConfigurationError: neither the request nor the settings name declarer or credentials.
        """
        plain = request.plain
        declarer = plain.get("declarerId") or self._settings.declarer_id
        if declarer is None:
            raise ConfigurationError("declarerId: give it in metadata, or set SETTLE_COMMONSDB__DECLARER_ID")
        return {
            "$schema": self._settings.schema_url,
            "@context": self._settings.context_url,
            **plain,
            "timestamp": timestamp,
            "declarerId": declarer,
            "credentials": plain.get("credentials") or self.credentials,
        }

    @staticmethod
    def registry(request: DeclareRequest, public: Mapping[str, Any]) -> dict[str, Any] | None:
        """The `commonsDbRegistry` that goes with a `publicMetadata` (contract 2.3), if one is wanted."""
        block = request.block
        if block is None:
            return None
        proofs = [{"proof": credential["proof"]["jwt"]} for credential in public["credentials"]]
        return {"iscc": public["iscc"], "credentials": proofs, **block, "timestamp": public["timestamp"]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A compact JWT whose claims are this object, with the key order that it has in the body."""
        public = self._key.as_dict(private=False)
        header = {"alg": "ES256", "typ": "JWT", "jwk": {name: public[name] for name in _PUBLIC}}
        payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return jws.serialize_compact(header, payload, self._key, algorithms=["ES256"])
