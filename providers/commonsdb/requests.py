"""What callers of `settle.commonsdb.declare` send: a complete signed body, or plain metadata (contract commonsdb 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from providers.base import Request, id_text
from providers.commonsdb.rights import RIGHTS_STATEMENTS

JWT = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
SCHEMA = r"^https://w3id\.org/(commonsdb|liccium)/schema/"
CONTEXT = r"^https://w3id\.org/(commonsdb|liccium)/context/"
DID = r"^did:[a-z0-9]+:"
ISCC = r"^ISCC:[A-Z0-9]{55}$"
_URL = r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"

#: A declaration is nested by its shape; more levels than this are a mistake or an attack.
DEEPEST = 64


def plain_json(value: Any) -> Any:
    """Refuse what cannot be written as JSON, or only by some: it could be neither signed nor sent."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")
        if isinstance(item, Mapping):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list | tuple):
            waiting += [(part, depth + 1) for part in item]
        elif isinstance(item, str):
            if not item.isascii() and any("\ud800" <= letter <= "\udfff" for letter in item):
                raise ValueError("holds text that is not Unicode (half of a surrogate pair)")
        elif isinstance(item, int | float):
            if (isinstance(item, float) and not math.isfinite(item)) or abs(item) > 1e308:
                raise ValueError("holds a number that JSON does not know")
        elif item is not None:
            raise ValueError("holds a value that is not JSON")
    return value


class TsaSignature(Request):
    """An RFC 3161 time stamp: request and response, base64 (contract 2.5)."""

    tsr: str = Field(min_length=1)
    tsq: str = Field(min_length=1)


class PublicMetadata(Request):
    """What is declared (contract 2.2). Keys beside the known ones are allowed and pass unchanged."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    schema_: str = Field(alias="$schema", pattern=SCHEMA)
    context: str = Field(alias="@context", pattern=CONTEXT)
    iscc: str = Field(pattern=ISCC)
    name: str = Field(min_length=1)
    timestamp: int = Field(strict=True, gt=0, description="Unix milliseconds, within 60 s of the server's clock")
    declarerId: str = Field(pattern=DID)  # noqa: N815 (the contract's name)
    credentials: list[dict[str, JsonValue]] = Field(min_length=1)


class DeclarationMetadata(Request):
    """The public metadata and the optional registry block."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    publicMetadata: PublicMetadata  # noqa: N815
    commonsDbRegistry: dict[str, JsonValue] | None = None  # noqa: N815


class Declaration(Request):
    """A complete, signed body of `POST /v1/declare` (contract 2.1)."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    signature: str = Field(pattern=JWT)
    tsaSignature: TsaSignature  # noqa: N815
    declarationMetadata: DeclarationMetadata  # noqa: N815
    commonsDbRegistrySignature: str | None = Field(None, pattern=JWT)  # noqa: N815
    commonsDbRegistryTsaSignature: TsaSignature | None = None  # noqa: N815

    @model_validator(mode="after")
    def _registry(self) -> Self:
        signed = self.commonsDbRegistrySignature and self.commonsDbRegistryTsaSignature
        if self.declarationMetadata.commonsDbRegistry is not None and not signed:
            raise ValueError("commonsDbRegistry needs commonsDbRegistrySignature and commonsDbRegistryTsaSignature")
        return self


def _identifier(value: str) -> str:
    """An identifier is opaque (contract 2.7): any text that can stand in a path."""
    if id_text(value) is None:
        raise ValueError("is no identifier of a declaration")
    return value


def _allowed(value: str) -> str:
    """Only the 204 exact addresses count, down to scheme and last slash (contract 2.3)."""
    if value not in RIGHTS_STATEMENTS:
        raise ValueError(
            "is none of the 204 addresses that CommonsDB accepts, such as https://creativecommons.org/licenses/by/4.0/"
        )
    return value


class Proof(Request):
    """Of a verifiable credential."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    jwt: str = Field(pattern=JWT)


class Credential(Request):
    """A verifiable credential as the supplier got it; it passes unchanged (contract 2.2)."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    proof: Proof = Field(description="of the credential; the registry block repeats its JWT")


class Metadata(Request):
    """Plain metadata of a work (contract 2.2). Keys beside the known ones are allowed and pass unchanged.

    Settle adds the time, and what is missing of schema, context, declarer and credentials from its settings.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    iscc: str = Field(pattern=ISCC, description="`ISCC:` and 55 characters")
    name: str = Field(min_length=1)
    description: str | None = None
    mediatype: str | None = None
    thumbnail: str | None = Field(None, description="base64 or data URI")
    sourceUrl: str | None = Field(None, pattern=_URL)  # noqa: N815 (the contract's names)
    redirect: str | None = Field(None, pattern=_URL)
    version: int | None = Field(None, strict=True, ge=1)
    entryUUID: str | None = None  # noqa: N815
    supersedes: Annotated[str, AfterValidator(_identifier)] | None = Field(
        None, description="the identifier of an earlier declaration of the same declarer"
    )
    supplierMetadata: dict[str, JsonValue] | None = None  # noqa: N815
    schema_: str | None = Field(None, alias="$schema", pattern=SCHEMA)
    context: str | None = Field(None, alias="@context", pattern=CONTEXT)
    declarerId: str | None = Field(None, pattern=DID)  # noqa: N815
    credentials: list[Credential] | None = Field(None, min_length=1)
    timestamp: None = Field(None, description="leave it out: Settle stamps the time")


class RegistryCredential(Request):
    """A credential of the registry block: its JWT only (contract 2.3)."""

    proof: str = Field(pattern=JWT)


class Registry(Request):
    """The registry block (contract 2.3). ISCC and credentials are those of the metadata unless given."""

    location: str = Field(pattern=_URL, description="where the work is")
    rightsStatement: Annotated[str, AfterValidator(_allowed)]  # noqa: N815
    iscc: str | None = Field(None, pattern=ISCC)
    credentials: list[RegistryCredential] | None = Field(None, min_length=1)
    declarationId: str | None = None  # noqa: N815
    timestamp: None = Field(None, description="leave it out: Settle stamps the time")


class DeclareRequest(Request):
    """The keyword arguments of `settle.commonsdb.declare`: `declaration`, or `metadata` and perhaps `registry`."""

    declaration: Annotated[Declaration, BeforeValidator(plain_json)] | None = None
    metadata: Annotated[Metadata, BeforeValidator(plain_json)] | None = None
    registry: Annotated[Registry, BeforeValidator(plain_json)] | None = None

    _body: dict[str, Any] = PrivateAttr(default_factory=dict)
    _plain: dict[str, Any] = PrivateAttr(default_factory=dict)
    _block: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        request = handler(data)
        request._body = data.get("declaration") or {}
        request._plain, request._block = (_given(data.get(name)) for name in ("metadata", "registry"))
        return request

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.declaration is None) == (self.metadata is None):
            raise ValueError("give either declaration (a complete signed body) or metadata (which Settle signs)")
        if self.declaration is not None and self.registry is not None:
            raise ValueError("registry goes with metadata; a signed declaration holds its own commonsDbRegistry")
        return self

    # What the caller wrote, as it came: a rebuilt object could differ from what was signed.

    @property
    def body(self) -> dict[str, Any]:
        """The signed body; empty if Settle signs."""
        return self._body

    @property
    def plain(self) -> dict[str, Any]:
        """The plain metadata; null means not given."""
        return self._plain

    @property
    def block(self) -> dict[str, Any] | None:
        """The plain registry block, if one is wanted; null means not given."""
        return self._block if self.registry is not None else None


def _given(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: part for name, part in (value or {}).items() if part is not None}
