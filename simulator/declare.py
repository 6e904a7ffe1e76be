"""The checks of a CommonsDB declaration, in the order of contract commonsdb 2.10."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator import signing, tsa
from simulator.exchange import Reply, json_reply, text_reply
from simulator.identifiers import cid_v1
from simulator.rights import RIGHTS_STATEMENTS
from simulator.switches import CommonsDBSwitches

WINDOW_MS = 60_000
"""How far a timestamp may be from the server's clock, either side and inclusive (contract commonsdb 2.2)."""

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_DID = re.compile(r"did:[a-z0-9]+:.+")
_ISCC = re.compile(r"ISCC:[A-Z0-9]{55}")
_SIGNED = ("$schema", "@context", "iscc", "name", "timestamp", "declarerId")


class RefusedError(Exception):
    """A declaration is refused with `reply`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks know besides the body: the clock in ms, the DID of the key, and the supersedes rule."""

    now_ms: int
    did: str
    switches: CommonsDBSwitches
    supersedes_error: Callable[[str, str, str], dict[str, Any] | None]
    """(old identifier, declarer, own identifier) -> extra fields of the refusal, or None when allowed."""


def check(body: Any, context: Context) -> str:
    """Check a declaration and give its identifier; raises `RefusedError` at the first rule it breaks."""
    public = _public_metadata(body)
    _declarer(public, context)
    _structure(body, public)
    identifier = cid_v1(public)
    _supersedes(public, identifier, context)
    if not _ISCC.fullmatch(public["iscc"]):
        raise RefusedError(text_reply(400, "ISCC must have 55 characters after the prefix"))
    _schema(public, context)
    iscc = public["iscc"]
    if context.switches.check_credential_dates:
        _credential_dates(public["credentials"], context)
    _window(public["timestamp"], iscc, context, "Timestamp validation failed")
    _signature(body["signature"], public, _SIGNED, iscc, context, "Signature verification failed")
    _stamp(body["tsaSignature"], body["signature"], iscc, "TSA signature verification failed")
    registry = body["declarationMetadata"].get("commonsDbRegistry")
    if registry is not None:
        compared = registry if context.switches.compare_registry_claims else None
        token = body["commonsDbRegistrySignature"]
        _signature(token, compared, (), iscc, context, "CommonsDB registry signature verification failed")
        what = "CommonsDB registry TSA signature verification failed"
        _stamp(body["commonsDbRegistryTsaSignature"], token, iscc, what)
    _own_identifier(body, identifier)
    if registry is not None:
        what = "CommonsDB registry timestamp validation failed"
        _window(registry["timestamp"], iscc, context, what)
    return identifier


def _refuse(status: int, error: str, message: str, **extra: Any) -> RefusedError:
    return RefusedError(json_reply(status, {"error": error, "message": message, **extra}))


def _public_metadata(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise RefusedError(text_reply(400, "Invalid request body"))
    metadata = body.get("declarationMetadata")
    public = metadata.get("publicMetadata") if isinstance(metadata, dict) else None
    return public if isinstance(public, dict) else {}


def _declarer(public: dict[str, Any], context: Context) -> None:
    declarer = public.get("declarerId")
    if not declarer:
        raise _refuse(422, "Missing declarerId", "publicMetadata.declarerId is required")
    if declarer != context.did:
        raise _refuse(
            422,
            "DeclarerId mismatch",
            "declarerId does not belong to the API key",
            publicMetadataDeclarerId=declarer,
            **({"headerDeclarerId": context.did} if context.switches.declarer_shown else {}),
        )


def _structure(body: dict[str, Any], public: dict[str, Any]) -> None:
    problems = [*_envelope_problems(body), *_public_problems(public)]
    metadata = body.get("declarationMetadata")
    registry = metadata.get("commonsDbRegistry") if isinstance(metadata, dict) else None
    if registry is not None:
        problems += _registry_problems(body, registry)
    if problems:
        message = "The declaration does not have the required structure"
        raise _refuse(422, "Validation failed", message, validationErrors=problems)


def _envelope_problems(body: dict[str, Any], prefix: str = "") -> list[str]:
    names = ("commonsDbRegistrySignature", "commonsDbRegistryTsaSignature") if prefix else ("signature", "tsaSignature")
    problems = []
    if not isinstance(body.get(names[0]), str) or not _JWT.fullmatch(body[names[0]]):
        problems.append(f"{names[0]}: must be a compact JWT")
    stamp = body.get(names[1])
    if not isinstance(stamp, dict):
        problems.append(f"{names[1]}: must be an object with tsr and tsq")
    else:
        problems += [
            f"{names[1]}.{part}: must be a non-empty string"
            for part in ("tsr", "tsq")
            if not isinstance(stamp.get(part), str) or not stamp[part]
        ]
    return problems


def _public_problems(public: dict[str, Any]) -> list[str]:
    where = "declarationMetadata.publicMetadata"
    problems = [
        f"{where}.{name}: must be a non-empty string"
        for name in ("$schema", "@context", "iscc", "name")
        if not isinstance(public.get(name), str) or not public[name]
    ]
    if not _is_integer(public.get("timestamp")):
        problems.append(f"{where}.timestamp: must be an integer")
    if not isinstance(public["declarerId"], str) or not _DID.fullmatch(public["declarerId"]):
        problems.append(f"{where}.declarerId: must be a DID")
    if not isinstance(public.get("credentials"), list) or not public["credentials"]:
        problems.append(f"{where}.credentials: must have at least 1 item")
    version = public.get("version", 1)
    if not _is_integer(version) or version < 1:
        problems.append(f"{where}.version: must be an integer of at least 1")
    if "supersedes" in public and not isinstance(public["supersedes"], str):
        problems.append(f"{where}.supersedes: must be a string")
    return problems


def _registry_problems(body: dict[str, Any], registry: Any) -> list[str]:
    where = "declarationMetadata.commonsDbRegistry"
    if not isinstance(registry, dict):
        return [f"{where}: must be an object"]
    problems = _envelope_problems(body, "registry")
    if not isinstance(registry.get("iscc"), str) or not _ISCC.fullmatch(registry["iscc"]):
        problems.append(f"{where}.iscc: must be an ISCC")
    if not isinstance(registry.get("location"), str) or "://" not in registry["location"]:
        problems.append(f"{where}.location: must be a URL")
    if registry.get("rightsStatement") not in RIGHTS_STATEMENTS:
        problems.append(f"{where}.rightsStatement: must be one of the allowed values")
    if not _is_integer(registry.get("timestamp")):
        problems.append(f"{where}.timestamp: must be an integer")
    credentials = registry.get("credentials")
    if not isinstance(credentials, list) or not credentials:
        problems.append(f"{where}.credentials: must have at least 1 item")
    else:
        problems += [
            f"{where}.credentials.{position}.proof: must be a string"
            for position, item in enumerate(credentials)
            if not isinstance(item, dict) or not isinstance(item.get("proof"), str)
        ]
    return problems


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _supersedes(public: dict[str, Any], identifier: str, context: Context) -> None:
    old = public.get("supersedes")
    if old is None:
        return
    refusal = context.supersedes_error(old, public["declarerId"], identifier)
    if refusal is not None:
        raise RefusedError(json_reply(422, {"error": "Supersedes validation failed", **refusal, "supersedes": old}))


def _schema(public: dict[str, Any], context: Context) -> None:
    owners = "commonsdb|liccium" if context.switches.accept_liccium_urls else "commonsdb"
    problems: list[str] = []
    versions: list[str | None] = []
    for name, kind in (("$schema", "schema"), ("@context", "context")):
        pattern = rf"https://w3id\.org/(?:{owners})/{kind}/(\d+)\.(\d+)\.(\d+)\.json"
        match = re.fullmatch(pattern, public[name])
        if match is None:
            problems.append(f"{name}: is not an accepted address")
            versions.append(None)
            continue
        versions.append(".".join(match.groups()))
        if tuple(map(int, match.groups())) < (0, 2, 0):
            problems.append(f"{name}: version must be at least 0.2.0")
    if problems:
        raise _refuse(
            422,
            "Schema validation failed",
            "schema or context is not accepted",
            schemaUrl=public["$schema"],
            contextUrl=public["@context"],
            schemaVersion=versions[0],
            contextVersion=versions[1],
            validationErrors=problems,
            iscc=public["iscc"],
        )


def _credential_dates(credentials: list[Any], context: Context) -> None:
    now = datetime.fromtimestamp(context.now_ms / 1000, UTC)
    for position, item in enumerate(credentials):
        for name, early in (("validFrom", True), ("validUntil", False)):
            try:
                moment = datetime.fromisoformat(item[name])
            except (KeyError, TypeError, ValueError):
                continue
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            if (now < moment) if early else (now > moment):
                where = f"declarationMetadata.publicMetadata.credentials.{position}.{name}"
                problem = f"{where}: the credential is not valid now"
                message = "The declaration does not have the required structure"
                raise _refuse(422, "Validation failed", message, validationErrors=[problem])


def _window(timestamp: int, iscc: str, context: Context, error: str) -> None:
    if abs(context.now_ms - timestamp) > WINDOW_MS:
        raise _refuse(
            400,
            error,
            "timestamp is not within 60 seconds of the server's time",
            providedTimestamp=timestamp,
            serverTime=context.now_ms,
            iscc=iscc,
        )


def _signature(
    token: str, claimed: dict[str, Any] | None, required: tuple[str, ...], iscc: str, context: Context, error: str
) -> None:
    try:
        claims = signing.verify(token, context.now_ms / 1000, keyed=context.switches.unkeyed_jwt == "refused")
    except signing.SignatureError as problem:
        raise _refuse(400, error, "the JWT is not valid", jwkError=str(problem)) from problem
    if claimed is None:
        return
    problems = signing.mismatches(claims, claimed, required)
    if problems:
        message = "the signed claims differ from the declaration"
        raise _refuse(400, "Signature content mismatch", message, mismatches=problems, iscc=iscc)


def _stamp(stamp: dict[str, str], token: str, iscc: str, error: str) -> None:
    problems = tsa.stamp_errors(stamp, token.encode())
    if problems:
        raise _refuse(400, error, "the time stamp does not fit the signature", tsaErrors=problems, iscc=iscc)


def _own_identifier(body: dict[str, Any], identifier: str) -> None:
    internal = body.get("metaInternal")
    provided = internal.get("cidV1") if isinstance(internal, dict) else None
    if provided is not None and provided != identifier:
        message = "the identifier differs from the computed one"
        raise _refuse(400, "Identifier verification failed", message, provided=provided, expected=identifier)
