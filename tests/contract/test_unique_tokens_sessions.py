"""Unique Tokens: sessions, and lost orders that are found in them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from providers.errors import (
    BadAnswer,
    Busy,
    NotFound,
    NotSent,
    Refused,
    TransientError,
    Unauthorized,
)

from .bench import PRODUCE, Bench, client, finished, go
from .server import http, scripted
from .unique_tokens import INTENT, LINE, SESSION, opening, ordered


@pytest.mark.parametrize("links", [True, False])
def test_locate_finds_the_line_among_others(bench: Bench, links: bool) -> None:
    """By payment, alphabet and digits; the list needs no links."""
    bench.sim.set_switches("unique_tokens", list_carries_links=links)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            for ident in ("pi_other1", "pi_other2"):
                other = {**bench.body(PRODUCE), "payment": {"id": "t", "ident": ident}}
                async with bench.trip(PRODUCE, other) as another:
                    await another.submit()
            assert (await trip.locate()).receipt is None
            receipt = await trip.submit()
            assert (await trip.locate()).receipt == receipt
            trip.intent["digits"] = 13
            assert (await trip.locate()).receipt is None

    go(check())


@pytest.mark.parametrize(
    "data",
    [None, {}, [None, 3, [], "x"], [{"id": LINE}], [{"attributes": [], "relationships": {"payment": None}}]],
    ids=str,
)
def test_locate_reads_a_list_of_any_shape(data: object) -> None:
    """Nothing is found in rubbish, and nothing is called absent."""

    async def check() -> None:
        async with (
            scripted(opening(lambda _: http(200, {"data": data}))) as server,
            client("unique_tokens", server.url) as provider,
        ):
            located = await provider.operation("produce").locate(None, INTENT)
            assert (located.receipt, located.absent) == (None, False)

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_dead_session_is_replaced(bench: Bench, end: str, code: int, error_http: str) -> None:
    """The call that noticed was not carried out; the next one opens a session and goes on."""
    bench.sim.set_switches("unique_tokens", session_code=code, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            provider = trip.operation.provider
            old = await provider.session()
            if end == "revoked":
                keys = {"Api-Key": provider.key, "Session-Key": old}
                await provider.http.call("DELETE", f"/api/sessions/{old}", headers=keys)
            else:
                bench.sim.set_switches("unique_tokens", session_lifetime_seconds=60)
                bench.clock.advance(60)
            with pytest.raises(Busy) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived is False
            assert old not in str(caught.value)
            await trip.submit()
            assert await provider.session() != old

    go(check())
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_line_of_another_session_does_not_cost_our_session(bench: Bench, code: int, error_http: str) -> None:
    """The code for an unknown id may be that of a dead session: the session's own list tells them apart."""
    bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            receipt = await trip.submit()
            session = bench.notes.recall("unique_tokens", "session")
            trip.receipt = {"remote_id": LINE}
            with pytest.raises((Refused, NotFound)):
                await trip.observe()
            assert bench.notes.recall("unique_tokens", "session") == session
            trip.receipt = receipt
            finished(PRODUCE, await trip.watch())

    go(check())


def test_a_refusal_is_not_believed_while_the_session_cannot_be_asked(bench: Bench) -> None:
    """Neither the session nor the order is given up."""

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            session = await trip.operation.provider.session()
            bench.sim.fault("unique_tokens", "401", operation="post_tokens")
            bench.sim.fault("unique_tokens", "500", operation="list_tokens")
            with pytest.raises(Busy, match="could not be asked"):
                await trip.submit()
            assert bench.notes.recall("unique_tokens", "session") == session

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "cut_body", "rubbish"])
def test_a_session_that_cannot_be_opened_leaves_no_doubt(bench: Bench, kind: Any) -> None:
    """Whatever became of the session, the order itself never left: it may be sent again."""
    bench.sim.fault("unique_tokens", kind, operation="open_session")

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            with pytest.raises(TransientError) as caught:
                await trip.submit()
            assert type(caught.value) is NotSent
            bench.sim.clear_faults()
            await trip.submit()

    go(check())
    assert bench.accepted(PRODUCE) == 1


def test_a_wrong_api_key_stops_the_provider(bench: Bench) -> None:
    """403 to the opening of a session is about the key."""

    async def check() -> None:
        async with client("unique_tokens", bench.sim.base_urls["unique_tokens"], key="unknown-key") as provider:
            for error_http in ("true", "as_success"):
                bench.sim.set_switches("unique_tokens", error_http=error_http)
                with pytest.raises(Unauthorized):
                    await provider.operation("produce").locate(None, INTENT)

    go(check())


def test_a_bundle_of_jobs_opens_one_session(bench: Bench) -> None:
    """All at the same time, with none held."""

    async def check() -> None:
        async with bench.provider("unique_tokens") as provider:
            keys = await asyncio.gather(*(provider.session() for _ in range(20)))
            assert len(set(keys)) == 1

    go(check())
    assert bench.count(PRODUCE, "open_session") == {"201": 1}


@pytest.mark.parametrize("kind", [None, "500", "reset"])
def test_a_worker_that_was_slower_revokes_its_session(bench: Bench, kind: Any) -> None:
    """The session in force is used by all; that the other cannot be revoked is no harm."""
    if kind:
        bench.sim.fault("unique_tokens", kind, operation="revoke_session")

    async def check() -> None:
        async with bench.provider("unique_tokens") as one, bench.provider("unique_tokens") as two:
            keys = await asyncio.gather(one.session(), two.session())
            assert len(set(keys)) == 1

    go(check())
    assert bench.count(PRODUCE, "open_session") == {"201": 2}
    assert sum(bench.count(PRODUCE, "revoke_session").values()) >= 1


@pytest.mark.parametrize("shown", [None, "", 7, [SESSION], "a b", "../x"], ids=str)
def test_a_session_or_line_without_a_usable_id_is_a_bad_answer(shown: object) -> None:
    """Neither is guessed."""
    with pytest.raises(BadAnswer) as caught:
        go(ordered({"data": {"id": shown}}))
    assert caught.value.may_have_arrived

    async def check() -> None:
        async with (
            scripted(lambda _: http(201, {"data": {"id": shown}})) as server,
            client("unique_tokens", server.url) as provider,
        ):
            with pytest.raises(BadAnswer):
                await provider.session()

    go(check())
