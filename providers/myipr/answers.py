"""How myIPR answers: an envelope with an integer `status` of its own, and `result` or `results` (contract myipr 9)."""

from __future__ import annotations

from typing import Any

from providers.answer import Answer
from providers.errors import BadAnswer


def _envelope(answer: Answer) -> dict[str, Any]:
    """The envelope of a success, after the HTTP code and its own integer `status` were judged (contract 9)."""
    body = answer.check("message").object()
    status, hint = _code(body.get("status")), _code(body.get("customErrorNumber"))
    if status is None and ("customErrorNumber" in body or "errorField" in body):
        status = hint if hint is not None and hint >= 400 else 400  # the weak-hint shape of an error (contract 7)
    if status is not None and 400 <= status < 600:
        Answer(status, answer.headers, answer.body).check("message")
    return body


def _code(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def results(answer: Answer) -> list[dict[str, Any]]:
    """What an answer is about: `result` or `results`, an object or an array of objects (contract 9)."""
    body = _envelope(answer)
    for found in (body.get("result"), body.get("results")):
        if found:
            return [entry for entry in (found if isinstance(found, list) else [found]) if isinstance(entry, dict)]
    return []


def one(answer: Answer, version: str | None = None) -> dict[str, Any]:
    """The one result; of several versions of a file the one that was asked for."""
    found = results(answer)
    if version is not None:
        found = [entry for entry in found if entry.get("version_id", version) == version]
    if not found:
        raise BadAnswer("the answer holds no result")
    return found[0]
