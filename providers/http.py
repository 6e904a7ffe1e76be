"""The one HTTP client of all providers: httpx over aiohttp's transport, so that an httpx API costs what aiohttp does.

What comes back is an `Answer` (`providers.answer`), or a typed error (`providers.failures`).
"""

from __future__ import annotations

import fnmatch
import json
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from jobs.errors import ConfigurationError
from jobs.pacing import Turn
from providers.answer import Answer, judged, without_keys
from providers.errors import BadAnswer, ForeignHost, PermanentError, Refused, Unavailable, scrub
from providers.failures import RAISED, map_exception
from providers.pace import Pace
from providers.watch import Watch, watched_call, watched_download

#: Answers of status and submit calls are small; anything larger is not what we asked for. Bytes.
MAX_ANSWER = 8 * 1024 * 1024


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
    ) -> None:
        self._pace = pace
        self._own_error, self._repeatable = own_error, frozenset(repeatable)
        self.watch: Watch | None = None  #: told of each call and each download
        self.base_url = base_url.rstrip("/")
        self._root = httpx.URL(self.base_url).copy_with(raw_path=b"/")
        self._headers = dict(headers)
        self._download_hosts = tuple(pattern.lower() for pattern in download_hosts)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=15)
        self._transport = AiohttpTransport(verify=_authorities(ca_file), limits=limits, trust_env=False)
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=connect_timeout, sock_read=read_timeout, connect=connect_timeout + read_timeout
        )
        self._client = httpx.AsyncClient(
            transport=self._transport,
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout + read_timeout),
            trust_env=False,
            follow_redirects=False,
        )

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str | httpx.URL,
        headers: Mapping[str, str],
        *,
        json: Any = None,
        content: bytes | None = None,
        params: Any = None,
        files: Any = None,
    ) -> AsyncIterator[httpx.Response]:
        """Send one request and wait for the head of its answer.

        It goes to the transport itself: the client above would follow cookies, send credentials that it finds in an
        address, and write whole addresses into its log.
        """
        try:
            request = self._client.build_request(
                method, url, json=json, content=content, params=params, headers=headers, files=files
            )
            if files is not None:
                request.read()  # sent as one piece, as a JSON body is
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise PermanentError(f"the request cannot be made ({type(error).__name__})") from None
        turn = await self._pace.turn() if self._pace else None
        try:
            response = await self._transport.handle_async_request(request)
        except RAISED as error:
            raise map_exception(error) from None
        except ValueError as error:  # a head that the transport cannot decode
            raise BadAnswer(f"the answer cannot be read ({type(error).__name__})") from None
        finally:
            self._arrived(turn)
        try:
            yield response
        finally:
            with suppress(*RAISED):
                await response.aclose()

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
        sent = {**self._headers, **(headers or {})}
        if files is not None:  # its content type names the boundary, which is not known yet
            sent = {name: value for name, value in sent.items() if name.lower() != "content-type"}
            url = self.base_url + path
            async with self._exchange(method, url, sent, params=params, files=files) as answer:
                found = Answer(answer.status_code, answer.headers, without_keys(await _whole(answer), sent))
            return self._judged(found, submits)
        body = bytearray()
        try:
            content = None if json is None else _content(json)
            url = self.base_url + path + (f"?{httpx.QueryParams(params)}" if params else "")
            "".join(sent.values()).encode("ascii")  # aiohttp would send any other key as UTF-8
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise PermanentError(f"the request cannot be made ({type(error).__name__})") from None
        typed = {"Content-Type": "application/json"} if content is not None else {}
        turn = await self._pace.turn() if self._pace else None
        try:
            # Straight to aiohttp: httpx's own objects for a request and an answer cost as much as the rest of a poll.
            async with self._session().request(
                method, url, headers={**typed, **sent}, data=content, allow_redirects=False, timeout=self._timeout
            ) as response:
                self._arrived(turn)
                turn = None
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise BadAnswer(f"an answer longer than {MAX_ANSWER} bytes")
            found = Answer(response.status, response.headers, without_keys(bytes(body), sent))
        except RAISED as error:
            raise map_exception(error) from None
        except ValueError as error:  # a head that cannot be written or read
            raise BadAnswer(f"the answer cannot be read ({type(error).__name__})") from None
        finally:
            self._arrived(turn)
        return self._judged(found, submits)

    def _judged(self, answer: Answer, submits: bool) -> Answer:
        return judged(answer, self._own_error, submits=submits, repeatable=self._repeatable)

    def _arrived(self, turn: Turn | None) -> None:
        if self._pace and turn:
            self._pace.arrived(turn)

    def _session(self) -> aiohttp.ClientSession:
        """The transport's own session: calls and downloads share connections and their limit."""
        if not isinstance(self._transport.client, aiohttp.ClientSession):
            self._transport.client = self._transport.get_client()
        return self._transport.client

    async def post_elsewhere(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Post to another service than the provider: none of its headers, and so no key, go along.

        Raises:
            ProviderError: as `call`.
        """
        async with self._exchange("POST", url, headers, content=content) as response:
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
        async with self._exchange("GET", url, {**self._headers, **(headers or {})} if own else {}) as response:
            status = response.status_code
            if not own and status in (401, 403):
                raise Refused(f"HTTP {status} from a download host", status=status)  # it never saw the key
            if status != 200:
                Answer(status, response.headers, b"").check()
                raise Unavailable(f"HTTP {status} instead of a file")
            yield _chunks(response)

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
        await self._client.aclose()


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


def _content(value: Any) -> bytes:
    """A body as httpx writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except RAISED as error:
        raise map_exception(error) from None


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in _chunks(response):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise BadAnswer(f"an answer longer than {MAX_ANSWER} bytes")
    return bytes(body)
