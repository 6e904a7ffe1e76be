"""myIPR: the certificate and its link."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.artifacts import Artifact
from providers.base import Verdict
from providers.errors import (
    BadAnswer,
    ForeignHost,
    Unavailable,
)

from .bench import CERTIFY, Bench, client, finished, go, job_of
from .myipr import INTENT, RECEIPT
from .server import Seen, http, scripted


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
def test_the_certificate_is_fetched_at_use(bench: Bench, array: bool, http_code: str) -> None:
    """Its link is asked for each time, follows nowhere into the records, and the PDF arrives whole."""
    bench.sim.set_switches("myipr", certificate_result_array=array, http_code=http_code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            assert last.artifacts == (Artifact(name="certificate.pdf"),)
            assert "http" not in str((trip.receipt, last.result))
            for _ in range(2):
                content, rule = await trip.fetch(last.artifacts[0])
                assert content.startswith(b"%PDF")
                assert rule is None
                bench.clock.advance(3600)

    go(check())
    assert bench.count(CERTIFY, "certificate") == {"201" if http_code == "true" else "200": 2}


@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("code", [400, 404, 409])
def test_a_certificate_that_is_not_made_yet_is_waited_for(bench: Bench, code: int, http_code: str) -> None:
    """What is answered too early is not documented: transient, whatever it is."""
    bench.sim.set_switches("myipr", certificate_early_code=code, http_code=http_code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            with pytest.raises(Unavailable):
                await trip.fetch(Artifact(name="certificate.pdf"))

    go(check())


def test_a_dead_link_is_asked_for_again(bench: Bench) -> None:
    """403 from the storage is not about our key: it neither fails the job nor stops the provider."""
    bench.sim.set_switches("myipr", certificate_link_seconds=1e-9)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            with pytest.raises(Unavailable, match="link is dead"):
                await trip.fetch(last.artifacts[0])
            bench.sim.set_switches("myipr", certificate_link_seconds=60)
            assert (await trip.fetch(last.artifacts[0]))[0]

    go(check())


@pytest.mark.parametrize("code", [200, 403, 404])
@pytest.mark.parametrize("late", [60, 61, 3600])
def test_a_late_fetch_asks_for_another_link(bench: Bench, code: int, late: int) -> None:
    """A worker that stood still between link and fetch: whatever the storage says, nothing of it is taken for a PDF."""
    bench.sim.set_switches("myipr", certificate_dead_code=code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            real = trip.operation.provider.http.download

            def stalled(link: str) -> Any:
                bench.clock.advance(late)
                return real(link)

            trip.operation.provider.http.download = stalled
            with pytest.raises(Unavailable) as caught:
                await trip.fetch(last.artifacts[0])
            assert "127.0.0.1" not in str(caught.value)
            trip.operation.provider.http.download = real
            assert (await trip.fetch(last.artifacts[0]))[0].startswith(b"%PDF")

    go(check())
    assert bench.count(CERTIFY, "certificate") == {"201": 2}
    assert bench.count(CERTIFY, "certificate_pdf") == {str(code): 1, "200": 1} if code != 200 else {"200": 2}


def test_a_link_is_good_to_its_last_moment(bench: Bench) -> None:
    """59 s late is in time."""

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            real = trip.operation.provider.http.download

            def slow(link: str) -> Any:
                bench.clock.advance(59)
                return real(link)

            trip.operation.provider.http.download = slow
            assert (await trip.fetch(last.artifacts[0]))[0].startswith(b"%PDF")

    go(check())


PDF = b"%PDF-1.7\n" + bytes(range(256)) * 2000


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (PDF, True),
        (b"%PDF-", True),
        (b"\n" * 1019 + PDF, True),
        (b"\n" * 1020 + PDF, False),
        (b"", False),
        (b"%PD", False),
        (b"<html>expired</html>", False),
        (b'{"status": 404}' + b" " * 5000, False),
    ],
    ids=lambda value: f"{len(value)}-{value[:6]!r}" if isinstance(value, bytes) else str(value),
)
def test_only_a_pdf_is_a_certificate(content: bytes, whole: bool) -> None:
    """Its mark is among the first 1024 bytes, as readers take it; every byte arrives as it was sent."""

    def answer(seen: Seen) -> bytes:
        link = {"certificateLink": "/c.pdf"}
        return http(201, {"status": 201, "result": link}) if seen.method == "POST" else http(200, content)

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            got = bytearray()

            async def fetch() -> None:
                job = job_of(CERTIFY, INTENT, RECEIPT)
                async with provider.operation("certify").download(job, Artifact(name="certificate.pdf")) as chunks:
                    async for chunk in chunks:
                        got.extend(chunk)

            if whole:
                await fetch()
                assert bytes(got) == content
                return
            with pytest.raises(Unavailable, match="no PDF"):
                await fetch()
            assert got == b""

    go(check())


@pytest.mark.parametrize("link", ["//evil.example/x.pdf", "http://user@127.0.0.1/x.pdf", "http://storage.example/x"])
def test_a_link_to_a_foreign_host_is_permanent(link: str) -> None:
    """The hosts of certificates are a setting."""

    async def check() -> None:
        made = http(201, {"status": 201, "result": {"certificateLink": link}})
        async with scripted(lambda _: made) as server, client("myipr", server.url) as provider:
            with pytest.raises(ForeignHost):
                async with provider.operation("certify").download(
                    job_of(CERTIFY, INTENT, RECEIPT), Artifact(name="certificate.pdf")
                ):
                    pass
            assert len(server.seen) == 1

    go(check())


@pytest.mark.parametrize("link", [None, "", 7, ["http://127.0.0.1/x"], {"href": "/x"}], ids=str)
def test_a_link_that_is_none_is_a_bad_answer(link: object) -> None:
    """Nothing is asked for."""

    async def check() -> None:
        made = http(201, {"status": 201, "result": {"certificateLink": link}})
        async with scripted(lambda _: made) as server, client("myipr", server.url) as provider:
            with pytest.raises(BadAnswer):
                async with provider.operation("certify").download(
                    job_of(CERTIFY, INTENT, RECEIPT), Artifact(name="certificate.pdf")
                ):
                    pass

    go(check())


def test_the_certificate_can_be_left(bench: Bench) -> None:
    """With the setting off there is nothing to fetch."""

    async def check() -> None:
        async with bench.trip(CERTIFY, certificate=False) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            assert (last.verdict, last.artifacts) == (Verdict.SUCCEEDED, ())

    go(check())
