"""The certificate's PDF: its link lives for 60 s (contract myipr 4), so it is asked for at the time of use, each time.

The link carries a signature. It stays in this module: no record, log, event or error holds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.errors import BadAnswer, ForeignHost, PermanentError, Unauthorized, Unavailable
from providers.http import ProviderClient, segment
from providers.myipr.answers import one

#: A PDF says so within its first bytes; anything else under the link is no certificate.
_MARK, _WITHIN = b"%PDF-", 1024


@asynccontextmanager
async def certificate(http: ProviderClient, version: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """Stream the certificate of a version, under a link that was asked for just now.

    Args:
        http: the client.
        version: the version's id.

    Raises:
        ForeignHost: the link leads to a host that is not among the download hosts.
        Unavailable: there is no certificate yet, the link is dead, or it leads to no PDF.
        ProviderError: as any call.
    """
    answer = await http.call("POST", f"/get-version/{segment(version)}/certificate")
    try:
        link = one(answer).get("certificateLink")
    except PermanentError as refused:
        # What it answers before the PDF is made is not documented: the deadline ends it, not the first refusal.
        raise Unavailable(f"no certificate yet ({refused})") from None
    if not isinstance(link, str) or not link:
        raise BadAnswer("the answer names no certificateLink")
    try:
        async with http.download(link) as chunks:
            yield _pdf(chunks)
    except ForeignHost:
        raise
    except (PermanentError, Unauthorized) as refused:  # a dead link says nothing of our key
        raise Unavailable(f"the certificate's link is dead ({refused})") from None


async def _pdf(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, once they are known to be a PDF: a storage may answer 200 with a page that says no."""
    head: bytes | None = b""
    async for chunk in chunks:
        if head is None:
            yield chunk
            continue
        head += chunk
        if _MARK in head[:_WITHIN]:
            yield head
            head = None
        elif len(head) >= _WITHIN:
            break
    if head is not None:
        raise Unavailable("the certificate's link leads to no PDF")
