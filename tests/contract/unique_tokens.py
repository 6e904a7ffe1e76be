"""Answers of Unique Tokens, for the tests of its client."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from providers.base import Observation

from .bench import CAPACITY, PRODUCE, Bench, client, job_of
from .server import Seen, http, scripted

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
SESSION = "33305508-61c6-4750-a51b-dd68c80198de"
LINE = "2eef4018-374d-4e86-acee-3c8d8caf9e35"
FINGERPRINT = hashlib.sha256(SESSION.encode()).hexdigest()[:12]
INTENT = {"ident": "pi_1", "alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "snapshot": False}


def record(status: str = "ended", *, links: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """A tokens object like that of the seed page."""
    return {
        "meta": {"seed": SEED},
        "links": {"self": "/api/tokens", "data": f"/api/tokens/{LINE}/data"} if links is None else links,
        "data": {
            "type": "tokens",
            "id": LINE,
            "attributes": {
                "status": status,
                "analysis": "none",
                "alphabet": "UPPER_HEX",
                "digits": "12",
                "size": "2000",
                "reachable": "87381",
                "available": "281474976708656",
                "partial": True,
                "rate": 8000,
                "filesizes": {"data": 25999},
                "filehashes": {"data": "32fc3e6f" * 8},
                **attributes,
            },
            "relationships": {"payment": {"data": {"type": "transaction", "id": "t", "ident": "pi_1"}}},
        },
    }


def opening(answer: Callable[[Seen], Any]) -> Callable[[Seen], Any]:
    """Open a session first, then answer like this."""

    def reply(seen: Seen) -> Any:
        if seen.path == "/api/sessions":
            return http(201, {"data": {"type": "session", "id": SESSION}})
        return http(200, CAPACITY) if seen.path.startswith("/api/alphabets/") else answer(seen)

    return reply


async def observed(answer: object, *, code: int = 200, snapshot: bool = False, **settings: Any) -> Observation:
    """What the client makes of this answer to an info call."""
    async with (
        scripted(opening(lambda _: http(code, answer))) as server,
        client("unique_tokens", server.url, **settings) as provider,
    ):
        job = job_of(PRODUCE, {**INTENT, "snapshot": snapshot}, {"remote_id": LINE})
        return await provider.operation("produce").observe(job)


async def ordered(answer: object, *, code: int = 201) -> dict[str, Any]:
    """What the client makes of this answer to an order."""
    async with (
        scripted(opening(lambda _: http(code, answer))) as server,
        client("unique_tokens", server.url) as provider,
    ):
        operation = provider.operation("produce")
        request = operation.request.model_validate(Bench.body(None, PRODUCE))  # type: ignore[arg-type]
        return await operation.submit(request, operation.intent(request, "order-1"))
