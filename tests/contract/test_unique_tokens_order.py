"""Unique Tokens: numbers and sizes of an order (contract unique-tokens 11)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.artifacts import DigestRule
from providers.base import Verdict
from providers.errors import (
    NotFound,
    Unavailable,
)

from .bench import PRODUCE, Bench, client, finished, go, job_of
from .server import Seen, http, scripted
from .unique_tokens import FINGERPRINT, INTENT, LINE, SEED, SESSION, observed, opening, record

# --- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_come_as_strings_of_any_length() -> None:
    """`available` exceeds 64 bits by far; sizes come as numbers, or as strings all the same."""
    huge = str(62**100)
    for size, length in (("2000", 25999), (2000, "25999"), ("2000", "25999")):
        found = go(observed(record(size=size, available=huge, filesizes={"data": length})))
        assert found.verdict is Verdict.SUCCEEDED
        assert found.result["available"] == huge
        assert (found.result["size"], found.result["scaled_down"]) == (2000, False)
        assert (found.artifacts[0].size, found.artifacts[0].lines) == (25999, 2000)


def test_the_order_writes_numbers_as_the_normal_examples_do() -> None:
    """Strings of digits, both media types, the Session-Key; the Api-Key only for the session."""

    async def check() -> list[Seen]:
        async with (
            scripted(opening(lambda _: http(201, record("requested")))) as server,
            client("unique_tokens", server.url, key="6f6b1d52-7c1a") as provider,
        ):
            operation = provider.operation("produce")
            body = Bench.body(None, PRODUCE)  # type: ignore[arg-type]
            request = operation.request.model_validate(body)
            assert await operation.submit(request, operation.intent(request, "order-1")) == {
                "remote_id": LINE,
                "session": FINGERPRINT,
            }
            await operation.observe(job_of(PRODUCE, INTENT, {"remote_id": LINE}))
            return server.seen

    session, ask, order, look = go(check())
    assert ask.path == "/api/alphabets/UPPER_HEX/12"
    sent = json.loads(order.body)
    assert sent["data"]["attributes"] == {"alphabet": "UPPER_HEX", "digits": "12", "size": "2000"}
    assert sent["data"]["relationships"]["payment"]["data"]["type"] == "transaction"
    assert sent["meta"] == {"seed": SEED}
    assert json.loads(session.body) == {"data": {"type": "session", "attributes": {}}}
    assert session.headers["api-key"] == "6f6b1d52-7c1a"
    assert "session-key" not in session.headers
    for seen in (ask, order, look):
        assert seen.headers["session-key"] == SESSION
        assert "api-key" not in seen.headers
        assert seen.headers["accept"] == seen.headers["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize("seed", [None, "x", SEED, "saat-über"])
def test_the_seed_is_sent_only_if_given(bench: Bench, seed: str | None) -> None:
    """Without one the line has no digests by default, and its files are unverified; with one they are checked."""

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "seed": seed}) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            assert last.artifacts[0].seed == seed
            assert (last.artifacts[0].sha256 is None) is (seed is None)
            content, rule = await trip.fetch(last.artifacts[0])
            assert content.count(b"\n") == 1999
            assert rule is (DigestRule.SEED_BEFORE if seed else None)

    go(check())


# --- read `size` back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "scaled"), [(17476, False), (17477, True), (100_000, True)])
def test_a_size_may_have_been_scaled_down(bench: Bench, size: int, scaled: bool) -> None:
    """The size of the answer counts, for the file and for the caller."""
    body = {**bench.body(PRODUCE), "alphabet": "DICE", "digits": 20, "size": size}

    async def check() -> None:
        async with bench.trip(PRODUCE, body, oversize="send") as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            assert (last.result["size"], last.result["scaled_down"]) == (17476, scaled)
            assert last.artifacts[0].lines == 17476
            await trip.fetch(last.artifacts[0])

    go(check())


# --- failure, and the end of a line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "verdict"), [("word", Verdict.RUNNING), ("stuck", Verdict.RUNNING), ("errors", Unavailable)]
)
def test_a_failed_line_is_never_a_success(bench: Bench, form: str, verdict: Any) -> None:
    """No word of failure is documented, so it goes on until the deadline."""
    bench.sim.set_switches("unique_tokens", failure_form=form)
    bench.sim.plan("unique_tokens", PRODUCE.reference, outcome="failed", duration=10)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            for _ in range(3):
                bench.clock.advance(1000)
                if verdict is Unavailable:
                    with pytest.raises(Unavailable):
                        await trip.observe()
                    continue
                seen = await trip.observe()
                assert (seen.verdict, seen.known) == (verdict, form == "stuck")

    go(check())


@pytest.mark.parametrize("shown", ["gone", "record"])
def test_a_dismantled_line_has_failed_or_is_unknown(bench: Bench, shown: str) -> None:
    """Its files can never come any more."""
    bench.sim.set_switches("unique_tokens", deleted_line=shown)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            receipt = await trip.submit()
            await trip.operation.provider.call("DELETE", f"/api/tokens/{receipt['remote_id']}")
            if shown == "gone":
                with pytest.raises(NotFound):
                    await trip.observe()
            else:
                seen = await trip.observe()
                assert (seen.verdict, seen.message) == (Verdict.FAILED, "the line was dismantled")

    go(check())


@pytest.mark.parametrize(
    "switches",
    [
        {"check_media_type": True},
        {"finish_seconds": 0},
        {"second_part_new_id": True},
        {"analyzed": "instead"},
        {"list_carries_links": True},
        {"undersize_code": 406, "bad_value_code": 400},
        {"session_lifetime_seconds": 1e6},
    ],
    ids=str,
)
@pytest.mark.parametrize("snapshot", [False, True])
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any], snapshot: bool) -> None:
    """None of these choices changes the way of an order."""
    bench.sim.set_switches("unique_tokens", **switches)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "snapshot": snapshot}) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            assert last.verdict is Verdict.SUCCEEDED
            assert len(last.artifacts) == 1 + snapshot
            for artifact in last.artifacts:
                assert (await trip.fetch(artifact))[1] is DigestRule.SEED_BEFORE

    go(check())
