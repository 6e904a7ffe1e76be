"""Unique Tokens: packed files, and the analysis."""

from __future__ import annotations

import gzip
import json

import pytest

from jobs.artifacts import Artifact, DigestOf, DigestRule, Inspector
from jobs.errors import DigestMismatch
from providers.errors import ProviderError

from .bench import PRODUCE, Bench, Trip, client, go
from .server import Seen, http, scripted
from .token_lines import SEED, known_answer, lines_of

# --- gz ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
@pytest.mark.parametrize("seed", [SEED, None])
def test_gz_is_fetched_packed_and_checked_inside(
    bench: Bench, hash_gzip: bool, length: bool, rule: str, seed: str | None
) -> None:
    """Size and lines are those of the content; the digest may be of either."""
    bench.sim.set_switches("unique_tokens", hash_gzip=hash_gzip, data_content_length=length, digest_rule=rule)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "format": "gz", "seed": seed}) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            (artifact,) = last.artifacts
            assert (artifact.name, artifact.size, artifact.lines) == ("tokens.txt.gz", 25_999, 2000)
            inspector, content = Inspector(artifact), bytearray()
            async with trip.operation.download(trip.job, artifact) as chunks:
                async for chunk in chunks:
                    inspector.update(chunk)
                    content += chunk
            assert len(lines_of(gzip.decompress(content))) == 2000
            assert inspector.matching_rule() is (DigestRule(rule) if seed else None)
            if seed:
                assert inspector.digest_of is (DigestOf.FILE if hash_gzip else DigestOf.CONTENT)

    go(check())


@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("hashes_of", ["plain", "gz"])
def test_a_digest_of_the_packed_file_is_cured_by_a_setting(bench: Bench, hash_gzip: bool, hashes_of: str) -> None:
    """A plain file is then unverified, not corrupt; the other files keep their digests."""
    bench.sim.set_switches("unique_tokens", hash_gzip=hash_gzip)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "snapshot": True}, hashes_of=hashes_of) as trip:
            await trip.submit()
            data, snapshot = (await trip.watch())[-1].artifacts
            if hash_gzip and hashes_of == "plain":
                with pytest.raises(DigestMismatch):
                    await trip.fetch(data)
            else:
                _, rule = await trip.fetch(data)
                assert rule is (DigestRule.SEED_BEFORE if hashes_of == "plain" else None)
            assert (await trip.fetch(snapshot))[1] is DigestRule.SEED_BEFORE

    go(check())


# --- analysis ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analyzed", ["after_finished", "instead"])
@pytest.mark.parametrize("poll_at", ["milestone", "current"])
@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("early", ["current", "errors", "held"])
def test_an_analysis_brings_its_files(bench: Bench, analyzed: str, poll_at: str, snapshot: bool, early: str) -> None:
    """The line is done when they are linked, whatever it was called before."""
    bench.sim.set_switches("unique_tokens", analyzed=analyzed, early_milestone=early, finish_seconds=9)
    body = {**bench.body(PRODUCE), "analysis": "metrics", "snapshot": snapshot}

    async def check() -> None:
        async with bench.trip(PRODUCE, body, poll_at=poll_at) as trip:
            await trip.submit()
            seen = await trip.watch(step=2, looks=400)
            assert seen[-1].word == "analyzed"
            assert "ended" in {each.word for each in seen[:-1]}
            assert all(each.artifacts == () for each in seen[:-1])
            files = {artifact.name: artifact for artifact in seen[-1].artifacts}
            assert list(files) == ["tokens.txt", *(["snapshot.blob"] if snapshot else []), *_ANALYSIS]
            content = {name: await trip.fetch(artifact) for name, artifact in files.items()}
            assert {name for name, (_, rule) in content.items() if rule is None} == {"analysis.json"}
            scores = [int(line) for line in lines_of(content["score.csv"][0])]
            assert scores == [int(token, 16) for token in lines_of(content["tokens.txt"][0])]
            deltas = [int(line) for line in lines_of(content["delta.csv"][0])]
            assert deltas[0] == scores[1] - scores[0]
            assert json.loads(content["analysis.json"][0])["data"]["attributes"]["level"] == "metrics"

    go(check())
    assert bench.count(PRODUCE, "get_milestone") == {}


_ANALYSIS = ["score.csv", "delta.csv", "analysis.json"]


def test_an_order_without_analysis_says_nothing_of_it(bench: Bench) -> None:
    """It costs extra."""

    async def check() -> None:
        for analysis in ("none", "metrics"):
            seen: list[Seen] = []

            def answer(each: Seen, seen: list[Seen] = seen) -> bytes:
                seen.append(each)
                return known_answer(each) or http(201, {"data": {"id": "L-1"}})

            async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
                operation = provider.operation("produce")
                request = operation.request.model_validate({**bench.body(PRODUCE), "analysis": analysis})
                await operation.submit(request, operation.intent(request, "o-1"))
            assert seen[-1].path == "/api/tokens" + ("?analysis=metrics" if analysis == "metrics" else "")

    go(check())


@pytest.mark.parametrize("content", [b'{"data": {"attr', b"", b"1,2,3", b'{"a": "' + b"x" * 100_000, b"[]"], ids=len)
def test_an_analysis_that_is_cut_off_is_fetched_again(content: bytes) -> None:
    """It has no digest and no length to be checked by: only its form tells."""

    async def check() -> None:
        async with (
            scripted(lambda seen: known_answer(seen) or http(200, content)) as server,
            client("unique_tokens", server.url) as provider,
        ):
            trip = Trip(PRODUCE, provider.operation("produce"), None, {}, None, {"remote_id": "L"})  # type: ignore[arg-type]
            with pytest.raises(ProviderError):
                await trip.fetch(Artifact("analysis.json", link="/api/tokens/L/analysis"))

    go(check())
