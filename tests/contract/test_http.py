"""The shared HTTP client: raw sockets that misbehave, answers that are none, and where files may come from."""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest

from providers import http as module
from providers.answer import Answer, retry_after
from providers.errors import (
    BadAnswer,
    ForeignHost,
    LostAnswer,
    NotSent,
    PermanentError,
    ProviderError,
    Refused,
    TransientError,
    Unauthorized,
    Unavailable,
)
from providers.http import ProviderClient, segment

from .bench import KEY, client_of, go
from .server import Seen, http, never, nobody, scripted


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(None, LostAnswer, id="closed after the request"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", LostAnswer, id="closed mid-headers"),
        pytest.param(b"HTTP/1.1 200", LostAnswer, id="closed mid-status"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", LostAnswer, id="not HTTP"),
        pytest.param(b"\x00\xff\x00\xff\r\n\r\n", LostAnswer, id="bytes"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", BadAnswer, id="longer than it is"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", LostAnswer, id="negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}", LostAnswer, id="length in words"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", LostAnswer, id="two lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", LostAnswer, id="bad chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", BadAnswer, id="cut chunk"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", BadAnswer, id="not gzip"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 70_000 + b"\r\n\r\n", LostAnswer, id="huge header"),
    ],
)
def test_a_misbehaving_server_leaves_the_post_in_doubt(answer: bytes | None, error: type[TransientError]) -> None:
    """The request was read by the other side, so it may have arrived: never `NotSent`."""

    async def check() -> None:
        async with scripted(lambda _: answer) as server, client_of(server.url) as client:
            with pytest.raises(TransientError) as caught:
                await client.call("POST", "/v1/x", json={"paid": True})
            assert type(caught.value) is error
            assert caught.value.may_have_arrived is True
            assert len(server.seen) == 1

    go(check())


def test_a_server_that_never_answers_is_a_lost_answer() -> None:
    """The read timeout ends it."""

    async def check() -> None:
        async with scripted(never) as server, client_of(server.url) as client:
            with pytest.raises(LostAnswer):
                await client.call("POST", "/v1/x")
            assert len(server.seen) == 1

    go(check())


def test_no_free_connection_means_never_left() -> None:
    """Whoever waits for a connection until the timeout has sent nothing."""

    async def check() -> None:
        async with (
            scripted(lambda _: http(200, b"x" * 5_000_000)) as server,
            client_of(server.url, connections=1, connect_timeout=0.05, read_timeout=0.05) as client,
            client.download("/large"),  # nobody reads it, so its connection stays in use
        ):
            with pytest.raises(NotSent):
                await client.call("POST", "/v1/x", json={})
            assert [seen.path for seen in server.seen] == ["/large"]

    go(check())


def test_nobody_listening_means_never_left() -> None:
    """A refused connection, and a name that does not exist."""

    async def check() -> None:
        async with nobody() as url, client_of(url) as client:
            with pytest.raises(NotSent):
                await client.call("POST", "/v1/x")

    go(check())


def test_a_redirect_is_not_followed() -> None:
    """The key is for this origin only; no provider documents one, so it proves nothing of the request."""

    async def check() -> None:
        async with scripted(lambda _: http(200, {})) as elsewhere:
            moved = http(307, b"", {"Location": f"{elsewhere.url}/stolen"})
            async with scripted(lambda _: moved) as server, client_of(server.url) as client:
                with pytest.raises(BadAnswer):
                    await client.call("POST", "/v1/x", json={})
                with pytest.raises(Refused):
                    async with client.download("/file"):
                        pass
            assert elsewhere.connections == 0

    go(check())


def test_a_huge_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain or compressed, an answer beyond the limit is given up."""
    monkeypatch.setattr(module, "MAX_ANSWER", 100_000)
    bodies = [http(200, b"x" * 5_000_000), http(200, gzip.compress(b"x" * 5_000_000), {"Content-Encoding": "gzip"})]

    async def check() -> None:
        for body in bodies:
            async with scripted(lambda _, body=body: body) as server, client_of(server.url) as client:
                with pytest.raises(BadAnswer, match="longer than 100000"):
                    await client.call("GET", "/v1/x")

    go(check())


@pytest.mark.parametrize(
    "body",
    [{"text": "\ud800"}, {"number": float("nan")}, {"object": object()}],
    ids=["surrogate", "not a number", "object"],
)
def test_what_cannot_be_written_as_json_never_leaves(body: object) -> None:
    """A body that cannot be encoded is our mistake: permanent, and nothing was sent."""

    async def check() -> None:
        async with scripted(lambda _: http(200, {})) as server, client_of(server.url) as client:
            with pytest.raises(PermanentError):
                await client.call("POST", "/v1/x", json=body)
            assert server.connections == 0

    go(check())


@pytest.mark.parametrize("url", ["ftp://files.example", "http://", "nonsense", "http://[::1"])
def test_a_base_address_that_is_none_is_a_permanent_error(url: str) -> None:
    """It says so, instead of waiting for better times."""

    async def check() -> None:
        try:
            async with client_of(url) as client:
                with pytest.raises(PermanentError):
                    await client.call("GET", "/v1/x")
        except httpx.InvalidURL:
            assert url == "http://[::1"  # refused at the start; the settings refuse all of them before that

    go(check())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("soon", None),
        ("", None),
        ("Mon, 21 Sep 2026 14:14:00 GMT", 40.0),
        ("Mon, 21 Sep 2026 14:14:00 -0000", 40.0),
        ("Mon, 21 Sep 2026 16:14:00 +0200", 40.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("Mon, 21 Sep 0001 14:00:00 +2359", 0.0),
        ("Mon, 41 Sep 2026 14:00:00 GMT", None),
        ("Mon, 21 Sep 99999 14:00:00 GMT", None),
        ("1, 2", None),
    ],
)
def test_retry_after_is_a_number_or_nothing(text: str, seconds: float | None) -> None:
    """Both forms, and rubbish that must not become a countdown."""
    assert retry_after({"retry-after": text}, now=1_790_000_000.0) == seconds


def test_retry_after_is_measured_from_now() -> None:
    """Without a time given, the date form is compared with the clock of this machine."""
    found = retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert found is not None
    assert 25 < found <= 30


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'"text', b"\xff\xfe", b"[" * 200_000, b'{"a": NaN}', b"[Infinity]", b"1" * 5000, b"<html>"],
    ids=lambda body: repr(body[:8]),
)
def test_a_body_that_is_not_json_is_a_bad_answer(body: bytes) -> None:
    """Also when it is nested without end, or holds what only Python takes for a number."""
    with pytest.raises(BadAnswer):
        Answer(200, {}, body).object()
    assert Answer(400, {}, body).reason("message") == "HTTP 400"


@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b"3", b'"text"', b"true"])
def test_json_that_is_not_an_object_is_a_bad_answer(body: bytes) -> None:
    """Every answer that is expected is an object."""
    with pytest.raises(BadAnswer):
        Answer(200, {}, body).object()


def test_a_segment_stays_one() -> None:
    """Nothing in a remote id can reach another path."""
    assert segment("../create?x=1#y") == "..%2Fcreate%3Fx%3D1%23y"
    assert segment("bbqjcaqzfr") == "bbqjcaqzfr"


async def _files(links: list[str], hosts: tuple[str, ...] = ()) -> tuple[list[Seen], list[ProviderError], int]:
    """Ask for files under these links; what the own server saw, the errors, and what another server saw."""
    errors: list[ProviderError] = []
    async with scripted(lambda _: http(200, b"stolen")) as evil, scripted(lambda _: http(200, b"content")) as own:
        port = evil.url.rpartition(":")[2]
        async with client_of(f"{own.url}/api", download_hosts=hosts) as client:
            for link in links:
                here = link.replace("OWN", own.url.removeprefix("http://")).replace("EVIL", f"127.0.0.1:{port}")
                try:
                    async with client.download(here, headers={"Session-Key": "33305508-61c6-4750"}) as chunks:
                        assert b"".join([chunk async for chunk in chunks]) == b"content"
                except ProviderError as error:
                    errors.append(error)
        return own.seen, errors, evil.connections


@pytest.mark.parametrize(
    "link",
    [
        "http://EVIL/x",
        "//EVIL/x",
        "///EVIL/x",
        "http://OWN@EVIL/x",
        "http://user@OWN/x",
        "http://user:password@OWN/x",
        "http://@EVIL/x",
        "https://OWN/x",
        "http://OWN.evil.example/x",
        "http:\\\\EVIL\\x",
        "\\\\EVIL\\x",
        "/\\EVIL/x",
        "http://OWN\\@EVIL/x",
        "http://OWN%2f@EVIL/x",
        "ht\ntp://EVIL/x",
        " http://EVIL/x",
        "\thttp://EVIL/x",
        "ftp://OWN/x",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:x",
        "http://[::1",
        "http://OWN:99999/x",
        "http://\u2024/x",
        "http://EVIL#@OWN/x",
        "http://EVIL?@OWN/x",
        "mailto:ines@example.org",
    ],
)
def test_a_foreign_link_gets_no_request_and_no_key(link: str) -> None:
    """Whatever it looks like to whom, nothing is asked elsewhere, and the error is permanent."""

    async def check() -> None:
        own, errors, evil = await _files([link])
        assert evil == 0
        # What is read as a path on the own origin may be asked there; everything else is refused.
        assert (len(own), len(errors)) in ((1, 0), (0, 1))
        if errors:
            assert isinstance(errors[0], ForeignHost)
            assert "password" not in str(errors[0])
            assert "@" not in str(errors[0])

    go(check())


def test_own_links_get_the_key_in_every_spelling() -> None:
    """Relative, absolute, and in other letter case, the origin is the same."""
    links = ["/api/tokens/1/data", "api/tokens/1/data", "http://OWN/a?b=c", "HTTP://OWN/a", "//OWN/a", "../../etc/x"]

    async def check() -> None:
        own, errors, _ = await _files(links)
        assert errors == []
        assert [seen.path for seen in own] == [
            "/api/tokens/1/data",
            "/api/tokens/1/data",
            "/a?b=c",
            "/a",
            "/a",
            "/etc/x",
        ]
        for seen in own:
            assert seen.headers["x-api-key"] == KEY
            assert seen.headers["session-key"] == "33305508-61c6-4750"

    go(check())


def test_a_download_host_gets_no_key() -> None:
    """A host that is allowed is asked, but with nothing of ours, and its refusal does not stop the provider."""

    async def check() -> None:
        replies = iter([http(200, b"content"), http(403, b"<Error/>"), http(404, b""), http(503, b"")])
        async with (
            scripted(lambda _: next(replies)) as storage,
            client_of("http://127.0.0.1:9", download_hosts=("127.0.0.*",)) as client,
        ):
            async with client.download(f"{storage.url}/f?X-Amz-Signature=00", headers={"Session-Key": "k"}) as chunks:
                assert b"".join([chunk async for chunk in chunks]) == b"content"
            found = []
            for _ in range(3):
                with pytest.raises(ProviderError) as caught:
                    async with client.download(f"{storage.url}/f?X-Amz-Signature=00"):
                        pass
                found.append(type(caught.value).__name__)
            assert found == ["Refused", "NotFound", "Busy"]
            for seen in storage.seen:
                assert not {"authorization", "x-api-key", "session-key", "cookie"} & set(seen.headers)
                assert KEY.encode() not in seen.raw
            with pytest.raises(ForeignHost):
                async with client.download(storage.url.replace("http://", "http://user:pw@") + "/f"):
                    pass

    go(check())


def test_over_tls_a_download_host_must_use_it_too() -> None:
    """A link to an allowed host without TLS is foreign when the provider itself has TLS."""

    async def check() -> None:
        async with client_of("https://api.example", download_hosts=("*.amazonaws.com", "*")) as client:
            for link in ("http://x.amazonaws.com/f", "http://api.example/f", "file:///etc/passwd"):
                with pytest.raises(ForeignHost):
                    async with client.download(link):
                        pass

    go(check())


async def read(client: ProviderClient, write: Callable[[bytes], object] = len) -> None:
    """Read a file to its end."""
    async with client.download("/f") as chunks:
        async for chunk in chunks:
            write(chunk)


def full_disk(_: bytes) -> None:
    """Store nothing."""
    raise OSError(28, "No space left on device")


def test_a_file_that_is_none_is_an_error() -> None:
    """401 means the key, 204 and 206 are no whole file, a cut one is noticed."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    expected = [(http(401), Unauthorized), (http(204), Unavailable), (http(206, b"x"), Unavailable), (cut, BadAnswer)]

    async def check() -> None:
        for answer, error in expected:
            async with scripted(lambda _, answer=answer: answer) as server, client_of(server.url) as client:
                with pytest.raises(error):
                    await read(client)

    go(check())


def test_an_error_of_whoever_reads_a_file_is_not_the_providers() -> None:
    """A full disk is no lost answer."""

    async def check() -> None:
        async with scripted(lambda _: http(200, b"content")) as server, client_of(server.url) as client:
            with pytest.raises(OSError, match="No space"):
                await read(client, full_disk)

    go(check())


def test_an_echoed_key_does_not_get_past_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """A body that repeats the request's headers holds no key any more; nor does any log record hold an address."""
    caplog.set_level(logging.DEBUG)

    def echo(seen: Seen) -> bytes:
        return http(400, {"message": seen.raw.decode()})

    async def check() -> None:
        async with scripted(echo) as server, client_of(server.url) as client:
            answer = await client.call("GET", "/v1/x?X-Amz-Signature=00", headers={"Session-Key": "33305508-61c6"})
            assert KEY.encode() not in answer.body
            assert b"33305508-61c6" not in answer.body
            assert KEY in server.seen[0].headers["authorization"]

    go(check())
    assert KEY not in caplog.text
    assert "X-Amz-Signature" not in caplog.text
