"""The shared HTTP client: where files may come from, and which hosts get a key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from providers.errors import (
    BadAnswer,
    ForeignHost,
    ProviderError,
    Unauthorized,
    Unavailable,
)
from providers.http import ProviderClient

from .bench import go
from .server import Seen, http, scripted
from .test_http import KEY, client_of


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
