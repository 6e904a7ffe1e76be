"""The one HTTP client of all providers. It calls the transport directly: httpx's own client costs more than a poll.

What comes back is an `Answer` (`providers.answer`), or a typed error (`providers.failures`).
"""

from __future__ import annotations

import fnmatch
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jobs.errors import ConfigurationError
from providers.answer import Answer, judged, without_keys
from providers.errors import BadAnswer, ForeignHost, PermanentError, Refused, Unavailable, scrub
from providers.failures import RAISED, map_exception
from providers.pace import Pace
from providers.transport import AiohttpTransport, DecodedBody, UnparsedURL, httpx
from providers.watch import Watch, watched_call, watched_download

#: Answers of status and submit calls are small; anything larger is not what we asked for. Bytes.
MAX_ANSWER = 8 * 1024 * 1024

_NO_BODY = httpx.ByteStream(b"")


def segment(value: object) -> str:
    """A provider's name for something as one part of a path, whatever characters it has."""
    return quote(str(value), safe="")


class ProviderClient:
    """Calls one provider. Belongs to the event loop that first uses it.

    Args:
        base_url: where the provider's paths begin.
        headers: sent with every call to the provider's own origin; they hold the key.
        connect_timeout: seconds to get a connection.
        read_timeout: seconds between two pieces of an answer.
        connections: at most so many at a time.
        ca_file: PEM: authorities that count beside the public ones. Certificates are always verified.
        download_hosts: patterns of other hosts from which files may be fetched, without the key.
        pace: lets requests go at the provider's rate, if it has one.
        own_error: tells whether an error answer has a form that the provider documents.
        repeatable: statuses by which the provider says that a submission was not carried out.
        transport: carries the requests, instead of `AiohttpTransport` with the settings above.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        read_timeout: float,
        connections: int = 100,
        ca_file: Path | None = None,
        download_hosts: tuple[str, ...] = (),
        pace: Pace | None = None,
        own_error: Callable[[Answer], bool] = lambda _: True,
        repeatable: Collection[int] = (),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._pace = pace
        self._own_error, self._repeatable = own_error, frozenset(repeatable)
        self.watch: Watch | None = None  #: told of each call and each download
        self.base_url = base_url.rstrip("/")
        self._root = httpx.URL(self.base_url).copy_with(raw_path=b"/")
        self._headers = dict(headers)
        self._template: httpx.Headers | None = None  # of the calls that add none; made by the first
        self._download_hosts = tuple(pattern.lower() for pattern in download_hosts)
        self.transport = transport or AiohttpTransport(
            _authorities(ca_file),
            connections=connections,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            pool_timeout=connect_timeout + read_timeout,
        )

    async def _send(self, method: str, url: httpx.URL, headers: Mapping[str, str], **body: Any) -> httpx.Response:
        """Send one request and wait for the head of its answer, whose stream the caller closes.

        Args:
            body: `content`, `json` or `files`, and `params`, as httpx takes them.
        """
        try:
            if headers is self._headers:
                headers = self._template = self._template or httpx.Headers(headers)
            if body:
                request = httpx.Request(method, url, headers=headers, **body)
            else:  # neither an address is parsed nor a body encoded
                request = httpx.Request(method, self._root, headers=headers, stream=_NO_BODY)
                request.url = url
            request.read()  # a multipart body is sent as one piece, as others are
        except (httpx.InvalidURL, ValueError, TypeError) as error:  # a header that is not ASCII, for one
            raise PermanentError(f"the request cannot be made ({type(error).__name__})") from None
        turn = await self._pace.turn() if self._pace else None
        try:
            return await self.transport.handle_async_request(request)
        except RAISED as error:
            raise map_exception(error) from None
        finally:
            if self._pace and turn:
                self._pace.arrived(turn)

    @watched_call
    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        submits: bool = False,
    ) -> Answer:
        """Make one call and read its answer.

        Args:
            method: the HTTP method.
            path: below the base URL.
            json: the body, if any.
            params: the query, if any.
            headers: beside those of every call.
            files: the parts of a multipart body, as (file name, content, content type), instead of `json`.
            submits: whether a second one would do harm. Then only the provider's own refusal counts as one.

        Raises:
            ProviderError: the request could not be made, no whole answer came, or it is not the provider's own. An
                error in the provider's own form is an answer: `Answer.check` judges it.
        """
        sent = {**self._headers, **headers} if headers else self._headers
        body = {"json": json} if json is not None else {}
        if params:
            body["params"] = params
        if files is not None:  # its content type names the boundary, which is not known yet
            sent = {name: value for name, value in sent.items() if name.lower() != "content-type"}
            body["files"] = files
        response = await self._send(method, UnparsedURL(self.base_url + path), sent, **body)
        answer = Answer(response.status_code, response.headers, without_keys(await _whole(response), sent))
        return judged(answer, self._own_error, submits=submits, repeatable=self._repeatable)

    async def post_elsewhere(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Post to another service than the provider: none of its headers, and so no key, go along.

        Raises:
            ProviderError: as `call`.
        """
        response = await self._send("POST", httpx.URL(url), headers, content=content)
        return Answer(response.status_code, response.headers, await _whole(response))

    @watched_download
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
        url, own = self._target(link)
        response = await self._send("GET", url, {**self._headers, **(headers or {})} if own else {})
        try:
            status = response.status_code
            if not own and status in (401, 403):
                raise Refused(f"HTTP {status} from a download host", status=status)  # it never saw the key
            if status != 200:
                Answer(status, response.headers, b"").check()
                raise Unavailable(f"HTTP {status} instead of a file")
            yield _chunks(response)
        finally:
            await response.aclose()

    def _target(self, link: str) -> tuple[httpx.URL, bool]:
        """The address that a link means, and whether it is on the provider's own origin.

        Raises:
            ForeignHost: no request may go there.
        """
        try:
            url = self._root.join(link)
        except (httpx.InvalidURL, ValueError):
            raise ForeignHost("a file is offered under an address that cannot be read") from None
        if not url.userinfo:
            if (url.scheme, url.host, url.port) == (self._root.scheme, self._root.host, self._root.port):
                return url, True
            safe = url.scheme in {"https", self._root.scheme} and bool(url.host)
            if safe and any(fnmatch.fnmatchcase(url.host, pattern) for pattern in self._download_hosts):
                return url, False
        raise ForeignHost(
            f"a file is offered on {scrub(url.host, limit=80)!r}, which is not the provider's own origin nor a "
            "download host"
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._pace:
            self._pace.close()
        await self.transport.aclose()


def _authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Who may sign the certificate of a server.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # an SSLError is one, too
            raise ConfigurationError(f"ca_file: {ca_file} holds no certificates ({type(error).__name__})") from None
    return context


def _decoded(response: httpx.Response) -> AsyncIterator[bytes]:
    """The pieces of a body as they come; httpx's decoders would cost CPU for each that our transport decoded."""
    return response.stream if isinstance(response.stream, DecodedBody) else response.aiter_bytes()


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in _decoded(response):
            yield chunk
    except RAISED as error:
        raise map_exception(error) from None


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in _decoded(response):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise BadAnswer(f"an answer longer than {MAX_ANSWER} bytes")
    except RAISED as error:
        raise map_exception(error) from None
    finally:
        await response.aclose()
    return bytes(body)
