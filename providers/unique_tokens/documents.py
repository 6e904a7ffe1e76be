"""How answers of the Unique Tokens API are read: documents, error documents, links, numbers, the heads of files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from providers.answer import Answer, problem, retry_after
from providers.errors import BadAnswer, scrub

MEDIA_TYPE = "application/vnd.api+json"

#: A file that begins like a JSON object is read so far, in bytes, to see whether it is an error document.
ERROR_DOCUMENT = 64 * 1024


def check(answer: Answer) -> dict[str, Any]:
    """The document, unless it is an error document. The code in `errors` may be the only true one (contract 8).

    Raises:
        ProviderError: as `Answer.check`.
    """
    try:
        body = answer.object()
    except BadAnswer:
        answer.check()
        raise
    errors = body.get("errors")
    if not errors:
        answer.check()
        return body
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    said = whole(first.get("status"))
    status = said if said is not None and 400 <= said < 600 else answer.status
    source = first.get("source")
    parameter = source.get("parameter") if isinstance(source, dict) else None
    words = [scrub(first[name], limit=100) for name in ("title", "detail") if isinstance(first.get(name), str)]
    reason = f"{status}: {'; '.join(words)}" + (f" (parameter: {scrub(parameter, limit=40)})" if parameter else "")
    raise problem(status, reason, wait=retry_after(answer.headers))


def part(body: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """An object inside a document; an empty one if it is not there."""
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def link(links: Mapping[str, Any], key: str) -> str | None:
    """The address under this name, if there is one."""
    found = links.get(key)
    return found if isinstance(found, str) and found else None


def whole(value: Any) -> int | None:
    """A whole number that may come as a string of any length."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 4000:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


async def head_of(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The begin of a file; all of it, and true, if it is small and begins like a JSON object."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if not head.lstrip().startswith(b"{") or len(head) > ERROR_DOCUMENT:
            return head, False
    return head, True


async def joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The file again, its begin first."""
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


def no_errors(content: bytes) -> None:
    """Refuse a "file" that is an error document, whatever its HTTP code was (contract 8).

    Raises:
        ProviderError: the one that it tells of.
    """
    with suppress(BadAnswer):
        check(Answer(200, {}, content))
