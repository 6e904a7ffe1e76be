"""The one HTTP client of all providers: httpx over aiohttp's transport, every exception mapped to a typed error.

The mapping of a failed request decides whether a submission may be repeated, so it looks at the cause beneath:
httpx-aiohttp 0.2 reports a connection that broke *after* the request left as `httpx.ConnectTimeout`.
"""

from __future__ import annotations

import email.utils
import fnmatch
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from providers.errors import (
    BadAnswer,
    Busy,
    ForeignHost,
    LostAnswer,
    NotFound,
    NotSent,
    PermanentError,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
    scrub,
)

#: Answers of status and submit calls are small; anything larger is not what we asked for. Bytes.
MAX_ANSWER = 8 * 1024 * 1024

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NEVER_LEFT_BENEATH = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, httpx.CookieConflict)


def map_exception(error: Exception) -> ProviderError:
    """The typed error for anything that httpx, or aiohttp beneath it, may raise while a request is made or read.

    The text names the class only: an exception's own text may quote an address with a signature in it.
    """
    name = type(error).__name__
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientError):
        if isinstance(cause, _NEVER_LEFT_BENEATH):
            return NotSent(f"the request never left ({type(cause).__name__})")
        if isinstance(cause, aiohttp.ClientPayloadError):
            return BadAnswer("the answer was cut off")
        if not isinstance(cause, aiohttp.InvalidURL):
            return LostAnswer(f"no answer ({type(cause).__name__})")
    if isinstance(error, _OUR_FAULT):
        return PermanentError(f"the request cannot be made ({name}): check the base URL")
    if isinstance(error, _NEVER_LEFT):
        return NotSent(f"the request never left ({name})")
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return BadAnswer(f"the answer cannot be read ({name})")
    return LostAnswer(f"no answer ({name})")


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, in either of its forms; none if absent or unreadable."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(at.timestamp() - (time.time() if now is None else now), 0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, wholly read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body, whatever its content type says.

        Raises:
            BadAnswer: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise BadAnswer(f"HTTP {self.status} with a body that is not JSON") from None

    def object(self) -> dict[str, Any]:
        """The decoded body, which must be a JSON object.

        Raises:
            BadAnswer: it is anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise BadAnswer(f"HTTP {self.status} with JSON that is not an object")
        return value

    def reason(self, *names: str) -> str:
        """The provider's own words for an error: the first of these fields that is a text, scrubbed."""
        try:
            body = self.object()
        except BadAnswer:
            return f"HTTP {self.status}"
        words = [scrub(body[name]) for name in names if isinstance(body.get(name), str) and body[name]]
        return f"HTTP {self.status}: {'; '.join(words)}" if words else f"HTTP {self.status}"

    def check(self, *names: str) -> Answer:
        """This answer, if it is a success.

        Args:
            names: fields of an error body that hold the provider's words.

        Raises:
            Busy: 429 or 503.
            Unauthorized: 401 or 403.
            NotFound: 404 or 410.
            Refused: another 4xx, or a redirect.
            Unavailable: another 5xx.
        """
        if 200 <= self.status < 300:
            return self
        if self.status in (429, 503):
            raise Busy(f"HTTP {self.status}", retry_after=retry_after(self.headers))
        if self.status in (401, 403):
            raise Unauthorized(f"HTTP {self.status}: the key is not accepted")
        if self.status in (404, 410):
            raise NotFound(self.reason(*names))
        if self.status >= 500:
            raise Unavailable(f"HTTP {self.status}", retry_after=retry_after(self.headers))
        raise Refused(self.reason(*names), status=self.status)


class ProviderClient:
    """Calls one provider. Belongs to the event loop that first uses it.

    Args:
        base_url: where the provider's paths begin.
        headers: sent with every call to the provider's own origin; they hold the key.
        connect_timeout: seconds to get a connection.
        read_timeout: seconds between two pieces of an answer.
        connections: at most so many at a time.
        download_hosts: patterns of other hosts from which files may be fetched, without the key.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        read_timeout: float,
        connections: int = 100,
        download_hosts: tuple[str, ...] = (),
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._origin = _origin(self.base_url)
        self._headers = dict(headers)
        self._download_hosts = download_hosts
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=15)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(limits=limits, trust_env=False),
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout + read_timeout),
            trust_env=False,
            follow_redirects=False,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call and read its answer.

        Args:
            method: the HTTP method.
            path: below the base URL.
            json: the body, if any.
            params: the query, if any.
            headers: beside those of every call.

        Raises:
            ProviderError: the request could not be made, or no whole answer came. An answer with an error status is
                an answer: `Answer.check` judges it.
        """
        sent = {**self._headers, **(headers or {})}
        try:
            async with self._client.stream(
                method, self.base_url + path, json=json, params=params, headers=sent
            ) as response:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise BadAnswer(f"an answer longer than {MAX_ANSWER} bytes")
                return Answer(response.status_code, response.headers, bytes(body))
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.CookieConflict,
            httpx.StreamError,
            aiohttp.ClientError,
        ) as error:
            raise map_exception(error) from None

    @asynccontextmanager
    async def download(
        self, link: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a file.

        Args:
            link: relative to the provider's origin, or absolute on it or on one of the download hosts.
            headers: beside those of every call; neither goes to a download host.

        Yields:
            The chunks of the file.

        Raises:
            ForeignHost: the link leads elsewhere; nothing was requested.
            ProviderError: as `call`, and for an answer with an error status.
        """
        url = urljoin(self._origin + "/", link)
        own = _origin(url) == self._origin
        host = urlsplit(url).hostname or ""
        if not own and not any(fnmatch.fnmatch(host, pattern) for pattern in self._download_hosts):
            raise ForeignHost(
                f"a file is offered on {host!r}, which is not the provider's own host nor a download host"
            )
        sent = {**self._headers, **(headers or {})} if own else {}
        try:
            async with self._client.stream("GET", url, headers=sent) as response:
                if response.status_code != 200:
                    Answer(response.status_code, response.headers, b"").check()
                    raise Unavailable(f"HTTP {response.status_code} instead of a file")
                yield _chunks(response)
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.CookieConflict,
            httpx.StreamError,
            aiohttp.ClientError,
        ) as error:
            raise map_exception(error) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_bytes():
        yield chunk


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
