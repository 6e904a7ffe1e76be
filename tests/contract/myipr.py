"""Answers of myIPR, for the tests of its client."""

from __future__ import annotations

from typing import Any

from providers.base import Observation
from simulator import samples

from .bench import CERTIFY, client, job_of
from .server import http, scripted

HASH = samples.sha256_of("Harbour")
INTENT = {"name": "Harbour", "hash": HASH}
RECEIPT = {"remote_id": "v-1", "file_id": "f-1"}
DONE: dict[str, Any] = {
    "version_id": "v-1",
    "fileId": "f-1",
    "version_name": "Harbour",
    "fileName": "Harbour",
    "fileStatus": "in_progress",
    "transaction_id": "9d41c07b",
    "hash": HASH,
    "status": "completed",
    "error": {},
    "user": {"id": "u", "first_name": "Ada", "last_name": "Example", "email": "ada@example.test"},
}


async def observed(answer: object, *, code: int = 201, **settings: Any) -> Observation:
    """What the client makes of this answer to get-version."""
    async with scripted(lambda _: http(code, answer)) as server, client("myipr", server.url, **settings) as provider:
        return await provider.operation("certify").observe(job_of(CERTIFY, INTENT, RECEIPT))
