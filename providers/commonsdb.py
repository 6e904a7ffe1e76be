"""CommonsDB: public declarations of works (contract commonsdb).

A declaration can never be deleted, so its identifier is computed before the POST (2.7): it is what a lost answer is
asked for again. Only `status` decides (3.3); `pending` and every unknown word mean running.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from jobs.record import Job
from providers.base import (
    Located,
    Observation,
    Operation,
    Provider,
    ProviderSettings,
    Request,
    Verdict,
    Words,
    id_text,
)
from providers.errors import BadAnswer, NotFound, Refused, scrub
from providers.http import Answer, segment

WORDS = Words(succeeded=("success",), failed=("failed",), running=("pending",))

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_JWT = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
_PATH = re.compile(r"[\w.$@\[\]-]{1,120}", re.ASCII)

#: A declaration is nested by its shape; more levels than this are a mistake or an attack.
DEEPEST = 64


class CommonsDBSettings(ProviderSettings):
    """CommonsDB asks to be polled every 2 to 5 s (seed page); its own stale rule ends after about 75 min (3.4)."""

    poll_maximum: float = Field(5.0, gt=0, description="longest countdown, seconds")
    deadline: float = Field(90 * 60.0, gt=0, description="from the trigger; after it a job is expired, seconds")
    absent_after: float = Field(
        300.0, gt=60, description="no status record so long after the signature means that it never arrived, seconds"
    )


def cid_v1(public_metadata: Mapping[str, Any]) -> str:
    """The identifier that CommonsDB will give a declaration (contract 2.7). Not a standard CID.

    Args:
        public_metadata: the `publicMetadata` object exactly as it is sent.
    """
    text = _javascript(public_metadata, frozenset(public_metadata))
    number = int.from_bytes(b"\x01\x0c\x12\x20" + hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    while number:
        number, place = divmod(number, 32)
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))


def _javascript(value: Any, names: frozenset[str]) -> str:
    """JSON as JavaScript writes it with an array of names: at every depth only those keys, in ascending order."""
    if isinstance(value, Mapping):
        keys = sorted((key for key in value if key in names), key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_javascript(key, names)}:{_javascript(value[key], names)}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_javascript(item, names) for item in value) + "]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > 2**53):
        return _number(float(value))
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """A number as JavaScript writes it: the digits are Python's, the place of the exponent is not."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(abs(value) if value == 0 else value)), "f").removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"


def _plain_json(value: Any) -> Any:
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

    declaration: Annotated[Declaration, BeforeValidator(_plain_json)]

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
        if answer.status in (400, 422):
            error = _error_body(answer)
            if answer.status == 422 and error.get("existingSupersededBy") == intent["identifier"]:
                return self._receipt(intent["identifier"])  # our own first attempt was processed (contract 2.11)
            raise Refused(_reasons(answer, error), status=answer.status)
        identifier = id_text(answer.check("error", "message").object().get("cidV1"))
        if identifier is None:
            raise BadAnswer("the acceptance names no cidV1")
        return self._receipt(identifier)  # the returned one counts, should it differ (contract 8)

    @staticmethod
    def _receipt(identifier: str) -> dict[str, Any]:
        return {"remote_id": identifier}

    async def _status(self, identifier: str) -> dict[str, Any]:
        """`GET /v1/status/{identifier}` (seed page)."""
        answer: Answer = await self.provider.http.call("GET", f"/v1/status/{segment(identifier)}")
        body = answer.check("error", "message").object()
        if body.get("identifier", identifier) != identifier:
            raise BadAnswer("the status is that of another identifier")
        return body

    async def locate(self, request: DeclareRequest, intent: Mapping[str, Any]) -> Located:
        """A status record proves the acceptance; 404 after a grace proves the opposite (contract 2.11).

        It may not be sent again all the same: a body older than 60 s is refused, and only the caller can sign another.
        """
        try:
            body = await self._status(intent["identifier"])
        except NotFound:
            signed = request.body["declarationMetadata"]["publicMetadata"]["timestamp"] / 1000
            if self.provider.notes.now() - signed < self.provider.settings.absent_after:
                return Located()
            return Located(gone="the declaration never arrived, and is too old to be sent now: sign it anew")
        if not isinstance(body.get("status"), str):
            raise BadAnswer("the status record has no status")
        return Located(receipt=self._receipt(intent["identifier"]))

    async def observe(self, job: Job) -> Observation:
        """Only `status` decides; 404 is possible right after the acceptance (contract 3.3, 3.4)."""
        identifier = (job.receipt or {})["remote_id"]
        try:
            body = await self._status(identifier)
        except NotFound:
            return Observation(Verdict.RUNNING, message="no status record yet")  # the deadline ends it
        word = body.get("status")
        verdict, known = WORDS.verdict(word)
        text = body.get("message")
        message = scrub(text) if isinstance(text, str) and text else None
        if verdict is Verdict.FAILED:  # a later run of the service's own queue may overwrite it (contract 3.3)
            message = f"{message or 'no reason given'} (look once more before declaring the work again)"
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            message=message,
            result={"identifier": identifier} if verdict is Verdict.SUCCEEDED else {},
        )


def _error_body(answer: Answer) -> dict[str, Any]:
    """An error body may be JSON, problem details, or plain text (contract 8): the last gives nothing."""
    try:
        return answer.object()
    except BadAnswer:
        return {}


def _reasons(answer: Answer, error: Mapping[str, Any]) -> str:
    """The refusal with the fields it names; what stands behind a field's colon may quote its value and is left out."""
    reason = answer.reason("error", "message", "title", "detail")
    entries = [entry for key in ("validationErrors", "mismatches") for entry in _list(error.get(key))]
    fields = [field for entry in entries[:10] if _PATH.fullmatch(field := str(entry).partition(":")[0])]
    if fields:
        reason += f" (fields: {', '.join(fields)})"
    server, ours = error.get("serverTime"), error.get("providedTimestamp")
    if isinstance(server, int) and isinstance(ours, int):  # the way to learn the server's clock (contract 2.10)
        late = (server - ours) / 1000
        reason += f" (the timestamp is {abs(late):g} s {'behind' if late > 0 else 'ahead of'} the server's clock)"
    return reason


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
