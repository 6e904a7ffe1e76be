"""CommonsDB: public declarations of works (contract commonsdb).

A declaration can never be deleted, so its identifier is computed before the POST (2.7): it is what a lost answer is
asked for again. Only `status` decides (3.3); `pending` and every unknown word mean running.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, JsonValue, ModelWrapValidatorHandler, PrivateAttr, model_validator

from jobs.record import Job
from providers.base import Located, Observation, Operation, Provider, ProviderSettings, Request, Verdict, Words
from providers.errors import BadAnswer, NotFound, Refused, scrub

WORDS = Words(succeeded=("success",), failed=("failed",), running=("pending",))

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_JWT = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"


class CommonsDBSettings(ProviderSettings):
    """CommonsDB asks to be polled every 2 to 5 s (seed page); its own stale rule ends after about 75 min (3.4)."""

    poll_maximum: float = Field(5.0, gt=0, description="longest countdown, seconds")
    deadline: float = Field(90 * 60.0, gt=0, description="from the trigger; after it a job is expired, seconds")


def cid_v1(public_metadata: Mapping[str, Any]) -> str:
    """The identifier that CommonsDB will give a declaration (contract 2.7). Not a standard CID.

    Args:
        public_metadata: the `publicMetadata` object exactly as it is sent.
    """
    names = set(public_metadata)

    def keep(value: Any) -> Any:
        # A JavaScript array replacer: at every depth only keys that also occur at top level, in ascending order.
        if isinstance(value, Mapping):
            return {key: keep(value[key]) for key in sorted(value, key=_utf16) if key in names}
        if isinstance(value, list):
            return [keep(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    text = json.dumps(keep(public_metadata), separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(b"\x01\x0c\x12\x20" + hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    while number:
        number, place = divmod(number, 32)
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")  # JavaScript sorts by UTF-16 code units


class TsaSignature(Request):
    """An RFC 3161 time stamp: request and response, base64 (contract 2.5)."""

    tsr: str = Field(min_length=1)
    tsq: str = Field(min_length=1)


class PublicMetadata(Request):
    """What is declared (contract 2.2). Keys beside the known ones are allowed and pass unchanged."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, hide_input_in_errors=True)

    schema_: str = Field(alias="$schema", pattern=r"^https://w3id\.org/(commonsdb|liccium)/schema/")
    context: str = Field(alias="@context", pattern=r"^https://w3id\.org/(commonsdb|liccium)/context/")
    iscc: str = Field(pattern=r"^ISCC:[A-Z0-9]{55}$")
    name: str = Field(min_length=1)
    timestamp: int = Field(strict=True, gt=0, description="Unix milliseconds, within 60 s of the server's clock")
    declarerId: str = Field(pattern=r"^did:[a-z0-9]+:")  # noqa: N815 (the contract's name)
    credentials: list[dict[str, JsonValue]] = Field(min_length=1)


class DeclarationMetadata(Request):
    """The public metadata and the optional registry block."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    publicMetadata: PublicMetadata  # noqa: N815
    commonsDbRegistry: dict[str, JsonValue] | None = None  # noqa: N815


class Declaration(Request):
    """A complete, signed body of `POST /v1/declare` (contract 2.1)."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    signature: str = Field(pattern=_JWT)
    tsaSignature: TsaSignature  # noqa: N815
    declarationMetadata: DeclarationMetadata  # noqa: N815
    commonsDbRegistrySignature: str | None = Field(None, pattern=_JWT)  # noqa: N815
    commonsDbRegistryTsaSignature: TsaSignature | None = None  # noqa: N815

    @model_validator(mode="after")
    def _registry(self) -> Self:
        signed = self.commonsDbRegistrySignature and self.commonsDbRegistryTsaSignature
        if self.declarationMetadata.commonsDbRegistry is not None and not signed:
            raise ValueError("commonsDbRegistry needs commonsDbRegistrySignature and commonsDbRegistryTsaSignature")
        return self


class DeclareRequest(Request):
    """The keyword arguments of `settle.commonsdb.declare`."""

    declaration: Declaration

    _body: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        request = handler(data)
        request._body = data["declaration"]
        return request

    @property
    def body(self) -> dict[str, Any]:
        """The declaration as it came: a rebuilt object could differ from what was signed."""
        return self._body


class Declare(Operation[DeclareRequest]):
    """Declare a work: POST once, then poll its status."""

    name = "declare"
    request = DeclareRequest

    def intent(self, request: DeclareRequest, job_id: str) -> dict[str, Any]:
        """The identifier, known before the POST."""
        return {"identifier": cid_v1(request.body["declarationMetadata"]["publicMetadata"])}

    async def submit(self, request: DeclareRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /v1/declare`. The portal does not print the success code, so any 2xx counts (contract 7.1)."""
        answer = await self.provider.http.call("POST", "/v1/declare", json=request.body)
        if answer.status == 422 and _superseded_by(answer.body) == intent["identifier"]:
            return self._receipt(intent["identifier"])  # our own first attempt was processed (contract 2.11)
        if answer.status in (400, 422):
            raise Refused(_reasons(answer.reason("error", "message"), answer.body), status=answer.status)
        body = answer.check("error", "message").object()
        identifier = body.get("cidV1")
        if not isinstance(identifier, str) or not identifier:
            raise BadAnswer("the acceptance names no cidV1")
        return self._receipt(identifier)  # the returned one counts, should it differ (contract 8)

    @staticmethod
    def _receipt(identifier: str) -> dict[str, Any]:
        return {"remote_id": identifier}

    async def locate(self, request: DeclareRequest, intent: Mapping[str, Any]) -> Located:
        """A status record proves the acceptance; 404 after a grace proves the opposite (contract 2.11).

        It is not absent all the same: a body older than 60 s must be rebuilt and signed by the caller first.
        """
        answer = await self.provider.http.call("GET", f"/v1/status/{intent['identifier']}")
        try:
            answer.check("message")
        except NotFound:
            return Located()
        return Located(receipt=self._receipt(intent["identifier"]))

    async def observe(self, job: Job) -> Observation:
        """`GET /v1/status/{identifier}` (seed page)."""
        identifier = (job.receipt or {})["remote_id"]
        answer = await self.provider.http.call("GET", f"/v1/status/{identifier}")
        try:
            body = answer.check("error", "message").object()
        except NotFound:
            # Possible right after the acceptance (contract 3.4). The deadline ends it if it stays so.
            return Observation(Verdict.RUNNING, message="no status record yet")
        word = body.get("status")
        verdict, known = WORDS.verdict(word)
        message = body.get("message")
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            message=scrub(message) if isinstance(message, str) and message else None,
            result={"identifier": identifier} if verdict is Verdict.SUCCEEDED else {},
        )


def _superseded_by(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    found = answer.get("existingSupersededBy") if isinstance(answer, dict) else None
    return found if isinstance(found, str) else None


def _reasons(reason: str, body: bytes) -> str:
    """The refusal with the fields it names; what stands behind a field's colon may quote its value and is left out."""
    try:
        answer = json.loads(body)
    except ValueError:
        return reason
    if not isinstance(answer, dict):
        return reason
    entries = [entry for key in ("validationErrors", "mismatches") for entry in _list(answer.get(key))]
    fields = [scrub(str(entry).partition(":")[0], limit=80) for entry in entries[:10]]
    return f"{reason} (fields: {', '.join(fields)})" if fields else reason


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class CommonsDB(Provider):
    """The CommonsDB declaration API."""

    name: ClassVar[str] = "commonsdb"
    settings_type = CommonsDBSettings
    operations = (Declare,)

    def headers(self) -> dict[str, str]:
        """The bearer token."""
        return {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}


PROVIDER = CommonsDB
