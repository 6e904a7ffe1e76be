"""Answers of LettrLabs, for the tests of its client."""

from __future__ import annotations

from typing import Any

from providers.base import Observation
from simulator import samples

from .bench import CONVERT, DELETE, client, job_of, request_of
from .server import Seen, http, scripted

PROFILE = {"id": 4107, "email": "ops@example.test", "firstName": "Ana", "lastName": "Ops", "company": "Example Co"}
RECORDS = [samples.conversion("SO-1"), samples.conversion("SO-2", revenue=40)]


def envelope(payload: object = None, **changes: Any) -> dict[str, Any]:
    """An answer in the frame of the seed page."""
    frame = {"profile": PROFILE, "payload": payload, "errors": [], "hasErrors": False, "warnings": [], "metadata": {}}
    return {**frame, **changes}


def uploaded(status: object = "Completed", **changes: Any) -> dict[str, Any]:
    """A status answer."""
    return envelope({"id": 7, "fileName": "f.json", "status": status, "uploadDate": "2026-03-04T16:35:02Z"}, **changes)


async def observed(
    answer: object, *, code: int = 200, operation: str = "convert", receipt: Any = None, **settings: Any
) -> Observation:
    """What the client makes of this answer to a status call."""
    async with scripted(lambda _: http(code, answer)) as server, client("lettrlabs", server.url, **settings) as made:
        way = CONVERT if operation == "convert" else DELETE
        job = job_of(way, {}, receipt or {"remote_id": "7", "sent": 1, "accepted": 1})
        return await made.operation(operation).observe(job)


async def posted(
    answer: object,
    *,
    code: int = 200,
    records: list[dict[str, Any]] | None = None,
    listed: object = (),
    **settings: Any,
) -> tuple[dict[str, Any], list[Seen]]:
    """The receipt that comes of this answer to a POST, and all that was asked."""

    def reply(seen: Seen) -> bytes:
        if seen.method == "POST":
            return http(code, answer)
        return http(200, envelope(list(listed) if "pageNumber=0" in seen.path else []))  # type: ignore[call-overload]

    async with scripted(reply) as server, client("lettrlabs", server.url, **settings) as provider:
        operation = provider.operation("convert")
        request = request_of(operation, {"conversions": records or RECORDS})
        return await operation.submit(request, operation.intent(request, "order-1")), server.seen
