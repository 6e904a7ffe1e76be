"""Unique Tokens: files are checked by size, lines and digest."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from jobs.artifacts import Artifact, DigestRule
from jobs.errors import ArtifactError, DigestMismatch, LineCountMismatch, SizeMismatch
from providers.errors import (
    Busy,
    ForeignHost,
    ProviderError,
)

from .bench import PRODUCE, Bench, Trip, client, finished, go
from .server import Seen, http, scripted
from .unique_tokens import INTENT, LINE, SEED, opening, record


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("without_seed", [True, False])
@pytest.mark.parametrize("seed", [SEED, None])
@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
def test_every_digest_rule_is_recognized(
    bench: Bench, rule: str, seed: str | None, without_seed: bool, length: bool
) -> None:
    """How the seed enters is documented nowhere; without digests a file is unverified, not corrupt."""
    bench.sim.set_switches(
        "unique_tokens", digest_rule=rule, filehashes_without_seed=without_seed, data_content_length=length
    )

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "seed": seed}) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            content, found = await trip.fetch(last.artifacts[0])
            promised = last.artifacts[0].sha256
            if seed is None:
                assert found is (DigestRule.PLAIN if without_seed else None)
                return
            assert found == DigestRule(rule)
            salt = seed.encode()
            assert (
                promised
                == {
                    "plain": hashlib.sha256(content).hexdigest(),
                    "seed_before": hashlib.sha256(salt + content).hexdigest(),
                    "seed_after": hashlib.sha256(content + salt).hexdigest(),
                    "hmac": hmac.new(salt, content, hashlib.sha256).hexdigest(),
                }[rule]
            )

    go(check())


@pytest.mark.parametrize("switches", [{}, {"hash_gzip": True}], ids=str)
def test_a_digest_that_no_rule_gives_is_a_mismatch(bench: Bench, switches: dict[str, Any]) -> None:
    """A wrong digest, and one of the compressed file: said aloud, never taken for unverified."""
    bench.sim.set_switches("unique_tokens", **switches)
    if not switches:
        bench.sim.plan("unique_tokens", PRODUCE.reference, wrong_digest=True)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            with pytest.raises(DigestMismatch):
                await trip.fetch(last.artifacts[0])

    go(check())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"abc\n" * 999 + b"abc", None),
        (b"abc\n" * 1000, SizeMismatch),
        (b"abc\n" * 998 + b"abc", SizeMismatch),
        (b"abc " * 999 + b"abc", LineCountMismatch),
        (b"", SizeMismatch),
    ],
    ids=["whole", "newline at the end", "a line short", "one line", "empty"],
)
def test_downloads_are_checked_by_size_and_lines(content: bytes, error: type[ArtifactError] | None) -> None:
    """One newline between lines, none after the last; the content type says JSON and is ignored."""

    def answer(seen: Seen) -> bytes:
        if seen.path.endswith("/data"):
            return http(200, content, {"Content-Type": "application/json; charset=utf-8"})
        return http(200, record(size="1000", filesizes={"data": 3999}, filehashes=None))

    async def check() -> None:
        async with scripted(opening(answer)) as server, client("unique_tokens", server.url) as provider:
            operation = provider.operation("produce")
            trip = _trip(operation)
            seen = await trip.observe()
            assert seen.artifacts[0].sha256 is None
            if error is None:
                assert (await trip.fetch(seen.artifacts[0])) == (content, None)
            else:
                with pytest.raises(error):
                    await trip.fetch(seen.artifacts[0])

    go(check())


def _trip(operation: Any) -> Trip:
    """A job whose line exists already."""
    return Trip(PRODUCE, operation, None, dict(INTENT), None, {"remote_id": LINE})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["cut_body", "reset", "reset_after", "500", "429", "401"])
@pytest.mark.parametrize("length", [True, False])
def test_a_download_that_breaks_can_be_repeated(bench: Bench, kind: Any, length: bool) -> None:
    """A chunked file that ends too early, and every other trouble, is an error; the next try brings it whole."""
    bench.sim.set_switches("unique_tokens", data_content_length=length)
    body = {**bench.body(PRODUCE), "digits": 20, "size": 50_000}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            bench.sim.fault("unique_tokens", kind, operation="data")
            with pytest.raises(ProviderError):
                await trip.fetch(last.artifacts[0])
            bench.sim.clear_faults()
            content, _ = await trip.fetch(last.artifacts[0])
            assert len(content) == 1_049_999

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [401, 403])
def test_a_download_in_a_dead_session_gives_the_session_up(bench: Bench, error_http: str, code: int) -> None:
    """An error document is no file, even under HTTP 200; the next try opens another session."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, session_code=code, session_lifetime_seconds=5000)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            bench.clock.advance(5000)
            before = bench.notes.recall("unique_tokens", "session")
            with pytest.raises(Busy, match="session"):
                await trip.fetch(last.artifacts[0])
            assert bench.notes.recall("unique_tokens", "session") is None
            with pytest.raises(ProviderError):
                await trip.fetch(last.artifacts[0])  # the line belongs to the old session
            assert bench.notes.recall("unique_tokens", "session") not in (None, before)

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 409, 425])
def test_a_download_that_is_refused_keeps_a_living_session(bench: Bench, error_http: str, code: int) -> None:
    """The same code may mean the file: the session holds other lines, and is not given up for it."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, early_download_code=code)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            before = bench.notes.recall("unique_tokens", "session")
            link = f"/api/tokens/{trip.job.receipt['remote_id']}/data"  # type: ignore[index]
            with pytest.raises(ProviderError):
                await trip.fetch(Artifact(name="tokens.txt", link=link))
            assert bench.notes.recall("unique_tokens", "session") == before
            finished(PRODUCE, await trip.watch())

    go(check())


@pytest.mark.parametrize("content", [b"{}\n{}", b'{"errors": []}', b'{"a": 1}', b"{" * 100_000, b"{\n" * 40_000])
def test_a_file_that_only_looks_like_json_is_a_file(content: bytes) -> None:
    """Braces may be in an alphabet; nothing is lost at the seam."""

    async def check() -> None:
        async with (
            scripted(opening(lambda _: http(200, content))) as server,
            client("unique_tokens", server.url) as provider,
        ):
            found, _ = await _trip(provider.operation("produce")).fetch(Artifact(name="tokens.txt", link="/d"))
            assert found == content

    go(check())


@pytest.mark.parametrize("link", ["//evil.example/data", "http://user@127.0.0.1/x", "https://evil.example/data"])
def test_a_link_to_a_foreign_host_gets_no_session_key(link: str) -> None:
    """Only the session was asked for, at the own host."""

    async def check() -> None:
        async with scripted(opening(lambda _: http(200))) as server, client("unique_tokens", server.url) as provider:
            with pytest.raises(ForeignHost):
                await _trip(provider.operation("produce")).fetch(Artifact(name="tokens.txt", link=link))
            assert [seen.path for seen in server.seen] == ["/api/sessions"]

    go(check())
