"""`settle doctor --provider unique_tokens`: what harmless calls tell."""

from __future__ import annotations

from typing import Any

import pytest

from .bench import PRODUCE, Bench, client, go
from .server import Seen, http, scripted
from .token_lines import known_answer, paid


def probed(bench: Bench, **settings: Any) -> dict[str, str]:
    """What the doctor hears: findings and their remedies."""

    async def check() -> dict[str, str]:
        async with bench.provider("unique_tokens", **settings) as provider:
            return {probe.what: probe.remedy for probe in await provider.probe()}

    return go(check())


def test_the_probe_of_an_empty_session(bench: Bench) -> None:
    """It opens the workers' session at most, changes nothing else, and needs no remedy."""
    found = probed(bench)
    assert set(found.values()) == {""}
    assert any("a session was opened" in what for what in found)
    assert any("no lines" in what for what in found)
    assert any("is open" in what for what in probed(bench))
    made = bench.sim.account()["unique_tokens"].requests
    assert set(made) == {"open_session", "list_tokens", "get_alphabet", "get_tokens"}
    assert made["open_session"] == {"201": 1}


@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("hashes_of", ["plain", "gz"])
def test_the_probe_finds_out_how_files_are_hashed(bench: Bench, rule: str, hash_gzip: bool, hashes_of: str) -> None:
    """And names the setting that is wrong."""
    bench.sim.set_switches("unique_tokens", digest_rule=rule, hash_gzip=hash_gzip)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            await trip.watch()

    go(check())
    of = "gz" if hash_gzip else "plain"
    right = "" if of == hashes_of else f"set SETTLE_UNIQUE_TOKENS__HASHES_OF={of}"
    assert probed(bench, hashes_of=hashes_of)[f"a digest is that of the {of} file, by the rule '{rule}'"] == right
    bench.sim.plan("unique_tokens", paid("wrong")["ident"], wrong_digest=True)


@pytest.mark.parametrize(
    ("switches", "said", "remedy"),
    [
        ({"early_milestone": "current"}, "answered with the record ('started')", ""),
        ({"early_milestone": "errors"}, "answered with an error", ""),
        ({"early_milestone": "held"}, "not answered in time", "SETTLE_UNIQUE_TOKENS__POLL_AT=current"),
    ],
    ids=str,
)
def test_the_probe_finds_out_what_comes_before_a_milestone(
    bench: Bench, switches: dict[str, Any], said: str, remedy: str
) -> None:
    """If a line happens to run."""
    bench.sim.set_switches("unique_tokens", **switches)
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=1000)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            bench.clock.advance(100)

    go(check())
    found = probed(bench, read_timeout=0.3)
    (what,) = (what for what in found if "milestone" in what)
    assert said in what
    assert remedy in found[what]
    assert bool(remedy) is bool(found[what])


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 410])
def test_the_probe_tells_how_errors_come(bench: Bench, error_http: str, code: int) -> None:
    """Both codes, of HTTP and in the body."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, unknown_id_code=code)
    http_code = code if error_http == "true" else 200
    assert probed(bench)[f"an unknown line is answered with HTTP {http_code}, code {code}"] == ""


@pytest.mark.parametrize(
    ("paths", "remedy"),
    [
        ({"/api/alphabets/": http(404, b"no")}, "CHECK_CAPACITY=false"),
        ({"/api/alphabets/": http(200, {"data": {}})}, "CHECK_CAPACITY=false"),
        ({"/api/tokens/": http(200, {"data": {}})}, "polled until its deadline"),
        ({"/api/tokens": http(200, {"data": {}})}, "resolve them by hand"),
        ({"/api/tokens": http(200, {"data": [{"id": "L-1"}]})}, "resolve them by hand"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_the_probe_names_a_remedy(paths: dict[str, bytes], remedy: str) -> None:
    """One answer that is not as assumed each time."""

    def answer(seen: Seen) -> bytes:
        if found := [made for path, made in paths.items() if seen.path.startswith(path) and path != "/api/tokens"]:
            return found[0]
        if seen.path == "/api/tokens":
            return paths.get("/api/tokens") or http(200, {"data": []})
        return known_answer(seen) or http(404, {"errors": [{"status": 404}]})

    async def check() -> list[str]:
        async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
            return [probe.remedy for probe in await provider.probe() if probe.remedy]

    (found,) = go(check())
    assert remedy in found
