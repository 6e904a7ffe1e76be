"""The transport: each exception of both libraries has a type of ours, and what goes over the wire besides."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

from providers.errors import BadAnswer, LostAnswer, NotSent, PermanentError, ProviderError, TransientError
from providers.failures import map_exception
from providers.transport import AiohttpTransport, UnparsedURL, as_httpx

from .bench import client_of, failing, go
from .server import http, scripted


def below(kind: type[Any]) -> Iterator[type[Any]]:
    """A class and everything derived from it."""
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


HTTPX = sorted(
    {*below(httpx.HTTPError), *below(httpx.StreamError), httpx.InvalidURL, httpx.CookieConflict},
    key=lambda kind: kind.__name__,
)
#: What httpx raises by itself, without aiohttp beneath.
BY_HTTPX: dict[str, type[ProviderError]] = {
    "CloseError": LostAnswer,
    "ConnectError": NotSent,
    "ConnectTimeout": NotSent,
    "CookieConflict": PermanentError,
    "DecodingError": BadAnswer,
    "HTTPError": LostAnswer,
    "HTTPStatusError": LostAnswer,
    "InvalidURL": PermanentError,
    "LocalProtocolError": PermanentError,
    "NetworkError": LostAnswer,
    "PoolTimeout": NotSent,
    "ProtocolError": LostAnswer,
    "ProxyError": NotSent,
    "ReadError": LostAnswer,
    "ReadTimeout": LostAnswer,
    "RemoteProtocolError": LostAnswer,
    "RequestError": LostAnswer,
    "RequestNotRead": LostAnswer,
    "ResponseNotRead": LostAnswer,
    "StreamClosed": LostAnswer,
    "StreamConsumed": LostAnswer,
    "StreamError": LostAnswer,
    "TimeoutException": LostAnswer,
    "TooManyRedirects": BadAnswer,
    "TransportError": LostAnswer,
    "UnsupportedProtocol": PermanentError,
    "WriteError": LostAnswer,
    "WriteTimeout": LostAnswer,
}
AIOHTTP = sorted(
    {kind for kind in below(aiohttp.ClientError) if kind.__module__.startswith("aiohttp.")},
    key=lambda kind: kind.__name__,
)
BY_AIOHTTP: dict[str, type[ProviderError]] = {
    "ClientConnectionError": LostAnswer,
    "ClientConnectionResetError": LostAnswer,
    "ClientConnectorCertificateError": NotSent,
    "ClientConnectorDNSError": NotSent,
    "ClientConnectorError": NotSent,
    "ClientConnectorSSLError": NotSent,
    "ClientError": LostAnswer,
    "ClientHttpProxyError": NotSent,
    "ClientOSError": LostAnswer,
    "ClientPayloadError": BadAnswer,
    "ClientProxyConnectionError": NotSent,
    "ClientResponseError": LostAnswer,
    "ClientSSLError": NotSent,
    "ConnectionTimeoutError": NotSent,
    "ContentTypeError": LostAnswer,
    "InvalidURL": PermanentError,
    "InvalidUrlClientError": PermanentError,
    "InvalidUrlRedirectClientError": PermanentError,
    "NonHttpUrlClientError": PermanentError,
    "NonHttpUrlRedirectClientError": PermanentError,
    "RedirectClientError": LostAnswer,
    "ServerConnectionError": LostAnswer,
    "ServerDisconnectedError": LostAnswer,
    "ServerFingerprintMismatch": NotSent,
    "ServerTimeoutError": LostAnswer,
    "SocketTimeoutError": LostAnswer,
    "TooManyRedirects": LostAnswer,
    "UnixClientConnectorError": NotSent,
    "UploadAbortedError": LostAnswer,
    "WSServerHandshakeError": LostAnswer,
}


def bare(kind: type[Any]) -> Any:
    """An exception of this class, however its constructor wants to be called."""
    return kind.__new__(kind)


def check_type(error: ProviderError, expected: type[ProviderError]) -> None:
    """The right type, and so the right answer to "may it have arrived?"."""
    assert type(error) is expected
    if isinstance(error, TransientError):
        assert error.may_have_arrived is (expected is not NotSent)


def test_no_exception_class_is_forgotten() -> None:
    """A new version of either library with another class fails here first."""
    assert {kind.__name__ for kind in HTTPX} == set(BY_HTTPX)
    assert {kind.__name__ for kind in AIOHTTP} == set(BY_AIOHTTP)


@pytest.mark.parametrize("kind", HTTPX, ids=lambda kind: kind.__name__)
def test_every_httpx_exception_has_a_type(kind: type[Exception]) -> None:
    """Each class that httpx may raise, with nothing known beneath."""
    check_type(map_exception(bare(kind)), BY_HTTPX[kind.__name__])


@pytest.mark.parametrize("kind", AIOHTTP, ids=lambda kind: kind.__name__)
def test_every_aiohttp_exception_has_a_type(kind: type[Exception]) -> None:
    """As the transport raises it: httpx's class decides, and the text names aiohttp's."""
    error = as_httpx(bare(kind))
    error.__cause__ = bare(kind)
    found = map_exception(error)
    check_type(found, BY_AIOHTTP[kind.__name__])
    assert kind.__name__ in str(found)


def check_typed(expected: type[ProviderError], **options: Any) -> None:
    """Calls, posts elsewhere and downloads raise this error of ours, whose text quotes nothing."""

    async def check() -> None:
        async with client_of("http://127.0.0.1:9", **options) as client:
            attempts = [
                client.call("POST", "/x", json={}),
                client.call("GET", "/x"),
                client.call("POST", "/x", files={"a": ("a.txt", b"a", "text/plain")}),
                client.post_elsewhere("http://127.0.0.1:9/x", b"", {}),
                client.download("/x").__aenter__(),
            ]
            for attempt in attempts:
                with pytest.raises(ProviderError) as caught:
                    await attempt
                check_type(caught.value, expected)
                assert "secret" not in str(caught.value)
                assert caught.value.__suppress_context__

    go(check())


@pytest.mark.parametrize("kind", [*HTTPX, OSError, TimeoutError], ids=lambda kind: kind.__name__)
def test_whatever_a_transport_raises_comes_out_typed(kind: type[Exception]) -> None:
    """Also a transport that is not ours."""
    error = bare(kind)
    error.args = ("http://127.0.0.1:9/x?secret",)
    check_typed(BY_HTTPX.get(kind.__name__, LostAnswer), transport=failing(error))


@pytest.mark.parametrize("kind", [*AIOHTTP, OSError, TimeoutError, ValueError], ids=lambda kind: kind.__name__)
def test_whatever_aiohttp_raises_comes_out_typed(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """Through the transport that is used."""

    async def broken(*_: object, **__: object) -> None:
        raise bare(kind)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", broken)
    others: dict[str, type[ProviderError]] = {
        "OSError": LostAnswer,
        "TimeoutError": LostAnswer,
        "ValueError": BadAnswer,
    }
    check_typed((BY_AIOHTTP | others)[kind.__name__])


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_a_request_that_was_read_is_never_called_unsent(method: str) -> None:
    """aiohttp repeats a lost DELETE on another connection; that none can be had says nothing of the first try."""
    opened: list[Any] = []

    def only_one(info: Any) -> socket.socket:
        opened.append(info)
        if len(opened) > 1:
            raise ConnectionRefusedError
        return socket.socket(*info[:3])

    async def check() -> None:
        transport = AiohttpTransport(None, connections=1, open_socket=only_one)
        async with (
            scripted(lambda seen: http(200, {}) if seen.path == "/first" else None) as server,
            client_of(server.url, transport=transport) as client,
        ):
            await client.call("GET", "/first")
            with pytest.raises(LostAnswer):
                await client.call(method, "/second")
            with pytest.raises(NotSent):
                await client.call(method, "/third")
            assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/first"), (method, "/second")]

    go(check())


def test_a_lost_get_is_repeated_once() -> None:
    """A kept connection that the server closed meanwhile costs no poll."""
    answers = iter([http(200, {}), None, http(200, {"a": 1})])

    async def check() -> None:
        async with scripted(lambda _: next(answers)) as server, client_of(server.url) as client:
            await client.call("GET", "/x")
            assert (await client.call("GET", "/x")).object() == {"a": 1}
            assert len(server.seen) == 3

    go(check())


def test_cookies_and_credentials_of_an_address_go_nowhere() -> None:
    """A client that is shared by all jobs keeps no state of any of them."""
    sets = http(200, {}, {"Set-Cookie": "a=1; Path=/"})

    async def check() -> None:
        async with scripted(lambda _: sets) as server:
            async with client_of(server.url.replace("127.0.0.1", "localhost")) as client:  # of numbers none is kept
                await client.call("GET", "/v1/x")
                await client.call("GET", "/v1/x")
            assert len(server.seen) == 2
            assert "cookie" not in server.seen[1].headers

    go(check())


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_decoded_once(encoding: str) -> None:
    """Whoever decodes it: aiohttp, or httpx for the answer of another transport."""
    packed = gzip.compress(b'{"a": 1}') if encoding == "gzip" else zlib.compress(b'{"a": 1}')
    headers = {"content-encoding": encoding}
    other = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed)))

    async def check() -> None:
        async with scripted(lambda _: http(200, packed, headers)) as server:
            for options in ({}, {"transport": other}):
                async with client_of(server.url, **options) as client:
                    assert (await client.call("GET", "/x")).object() == {"a": 1}
                    async with client.download("/x") as chunks:
                        assert b"".join([chunk async for chunk in chunks]) == b'{"a": 1}'
            assert encoding in server.seen[0].headers["accept-encoding"]
            assert len(server.seen) == 2

    go(check())


def test_a_transport_can_be_replaced() -> None:
    """It is given httpx's request with everything in it, and its answer is an answer."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"a": 1})

    async def check() -> None:
        async with client_of("http://api.example/v1", transport=httpx.MockTransport(answer)) as client:
            assert (await client.call("GET", "/x?y=1", headers={"X-Own": "b"})).object() == {"a": 1}
            assert (await client.call("POST", "/x", json={"c": 2}, params={"d": "e f"})).status == 200

    go(check())
    get, post = seen
    assert (get.url.host, get.url.path, get.url.params["y"], get.headers["x-own"]) == ("api.example", "/v1/x", "1", "b")
    assert (str(post.url), post.content) == ("http://api.example/v1/x?d=e+f", b'{"c":2}')
    assert post.headers["content-type"] == "application/json"


def test_an_unparsed_address_is_httpxs() -> None:
    """In each part and as a text, however it is read first."""
    text = "http://user@api.example:81/a%2Fb?c=d#e"
    parts = ("scheme", "userinfo", "host", "port", "path", "raw_path", "query", "fragment", "netloc")
    for part in parts:
        assert getattr(UnparsedURL(text), part) == getattr(httpx.URL(text), part)
    assert UnparsedURL(text) == httpx.URL(text)
    assert httpx.URL(UnparsedURL(text)) == httpx.URL(text)
    assert str(UnparsedURL(text)) == text
    with pytest.raises(AttributeError, match="nothing"):
        UnparsedURL(text).nothing  # noqa: B018
    with pytest.raises(httpx.InvalidURL):
        UnparsedURL("http://[::1").host  # noqa: B018
