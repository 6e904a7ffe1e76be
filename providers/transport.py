"""The one way through HTTP: httpx's types, carried by aiohttp. No other module imports either; they take `httpx` here.

httpx has had no release since December 2024. To move to its maintained continuation, import httpx2 as `httpx`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import httpx

__all__ = ["AiohttpTransport", "DecodedBody", "OpenSocket", "UnparsedURL", "as_httpx", "httpx", "root_cause"]

#: Opens the socket of a connection, given what aiohttp knows of its address; an `OSError` refuses the address.
OpenSocket = Callable[[Any], Any]

#: What aiohttp may raise while a request is made or its answer read; some of its errors are a `ValueError` only.
_RAISED = (aiohttp.ClientError, OSError, ValueError)

#: aiohttp's errors as httpx's; the first row that fits counts. A connect error promises that nothing was sent.
_AS_HTTPX: tuple[tuple[tuple[type[Exception], ...], type[httpx.RequestError]], ...] = (
    ((aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch), httpx.ConnectError),
    ((aiohttp.ConnectionTimeoutError,), httpx.ConnectTimeout),
    ((aiohttp.ClientHttpProxyError,), httpx.ProxyError),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), httpx.UnsupportedProtocol),
    ((TimeoutError,), httpx.ReadTimeout),
    ((aiohttp.ClientConnectionError, OSError), httpx.ReadError),
    ((aiohttp.ClientPayloadError, ValueError), httpx.DecodingError),  # the body is cut off, or the head is no text
    ((aiohttp.ClientError,), httpx.RemoteProtocolError),
)


def as_httpx(error: Exception) -> httpx.RequestError:
    """Give the error of httpx that says the same of whether the request left."""
    return next(kind for kinds, kind in _AS_HTTPX if isinstance(error, kinds))(type(error).__name__)


def root_cause(error: Exception) -> str:
    """Name the class of what the transport met: an exception's own text may quote an address with a signature in it."""
    cause = error.__cause__
    return type(cause if isinstance(cause, aiohttp.ClientError | OSError) else error).__name__


class _Tries:
    """Counts a request as lost once it was: aiohttp repeats a lost DELETE, and reports only the second try."""

    def __init__(self) -> None:
        self._lost = False

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        try:
            return await send(request)
        except (aiohttp.ClientError, OSError) as error:
            if self._lost:
                raise httpx.ReadError(type(error).__name__) from error
            self._lost = True
            raise


class UnparsedURL(httpx.URL):
    """An address that is parsed when a part of it is asked for: the transport needs its text only.

    Args:
        text: the whole address.
    """

    _text = ""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __getattr__(self, name: str) -> Any:
        super().__init__(self._text)  # this sets whatever httpx keeps of an address
        return object.__getattribute__(self, name)


class DecodedBody(httpx.AsyncByteStream):
    """The body of an answer, decompressed by aiohttp within bounds that httpx does not have."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> DecodedBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except _RAISED as error:
            raise as_httpx(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back."""
        if self._answer.closed:  # it was read to its end
            return
        try:
            await self._answer.__aexit__(None, None, None)
        except _RAISED:
            return


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carries requests over one pool of connections: no proxies, no redirects, no cookies.

    Belongs to the event loop that first uses it. Every exception is httpx's, with aiohttp's as its cause.

    Args:
        verify: the authorities that may sign a server's certificate; `None` means the system's.
        connections: at most this number at a time.
        connect_timeout: seconds to connect, once the pool has room.
        read_timeout: seconds between two pieces of an answer.
        pool_timeout: seconds for a connection, with the wait for room in the pool.
        open_socket: opens the socket of each connection.
    """

    def __init__(
        self,
        verify: ssl.SSLContext | None,
        *,
        connections: int,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        pool_timeout: float | None = None,
        open_socket: OpenSocket | None = None,
    ) -> None:
        self._connector = partial(
            aiohttp.TCPConnector,
            ssl=verify or True,
            limit=connections,
            keepalive_timeout=15,
            socket_factory=open_socket,
        )
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=connect_timeout, sock_read=read_timeout, connect=pool_timeout
        )
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw]
        try:
            answer = await self._session.request(
                request.method,
                str(request.url),
                headers=headers,
                data=request.read() or None,
                allow_redirects=False,
                middlewares=None if request.method == "GET" else (_Tries(),),
            )
        except _RAISED as error:
            raise as_httpx(error) from error
        known = answer.raw_headers
        if "Content-Encoding" in answer.headers:  # it is decoded
            known = tuple(header for header in known if header[0].lower() != b"content-encoding")
        return httpx.Response(answer.status, headers=known, stream=DecodedBody(answer), request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
