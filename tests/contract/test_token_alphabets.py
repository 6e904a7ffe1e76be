"""Unique Tokens: alphabets of one's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from providers.base import Verdict
from providers.errors import Busy, NotSent, Refused

from .bench import PRODUCE, Bench, go
from .token_lines import OWN, lines_of, paid


@pytest.mark.parametrize("names", ["marked", "own"])
@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("code", [403, 404, 410])
@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_an_alphabet_of_ones_own_is_added_and_used(
    bench: Bench, names: str, ask: bool, code: int, error_http: str
) -> None:
    """Before the order, once a session; every token is made of its characters, ASCII or not."""
    bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        for name, chars in (("mine", OWN), ("suits", "♠♡♢♣🂡")):
            body = {**bench.body(PRODUCE), "alphabet": name, "chars": chars, "payment": paid(name)}
            async with bench.trip(PRODUCE, body, alphabet_names=names, check_capacity=ask) as trip:
                await trip.submit()
                last = (await trip.watch())[-1]
                assert last.verdict is Verdict.SUCCEEDED
                assert last.result["alphabet"] == trip.intent["alphabet"]
                assert (last.result["alphabet"] == name) is (names == "own")
                content, _ = await trip.fetch(last.artifacts[0])
                assert set(content.decode()) == {*chars, "\n"}
                assert len({*lines_of(content)}) == 2000
            async with bench.trip(PRODUCE, {**body, "payment": paid(f"{name}2")}, alphabet_names=names) as trip:
                await trip.submit()  # another worker finds it there

    go(check())
    assert sum(bench.count(PRODUCE, "add_alphabet").values()) == 2


def test_one_name_for_two_alphabets(bench: Bench) -> None:
    """Marked, each order gets its own characters; as given, the second is refused before it is paid."""

    async def check(names: str) -> None:
        found = []
        for number, chars in enumerate((OWN, OWN[:-1])):
            body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": chars, "payment": paid(f"{names}{number}")}
            async with bench.trip(PRODUCE, body, alphabet_names=names) as trip:
                if number and names == "own":
                    with pytest.raises(Refused, match="other characters"):
                        await trip.submit()
                    continue
                await trip.submit()
                found.append((await trip.watch())[-1].result["alphabet"])
        assert len(set(found)) == len(found)

    go(check("marked"))
    assert bench.accepted(PRODUCE) == 2
    bench.sim.reset()
    bench.notes.forget("unique_tokens", "session", bench.notes.recall("unique_tokens", "session") or "")
    go(check("own"))
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alphabet": "DICE", "digits": 20, "size": 17_477}, "17476 tokens of 20 digits that one part"),
        ({"alphabet": "TINY", "digits": 10, "size": 1025, "chars": None}, "this one"),
        ({"alphabet": "mine", "digits": 60, "size": 17_477, "chars": OWN}, "17476 tokens of 60 digits that one part"),
        ({"alphabet": "NO_SUCH"}, "does not give this one"),
    ],
    ids=str,
)
def test_what_cannot_be_delivered_is_refused_before_it_is_paid(
    bench: Bench, change: dict[str, Any], said: str, error_http: str
) -> None:
    """The service's own figures count; the order is never sent."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, oversize="scaled")

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), **change}) as trip:
            with pytest.raises(Refused, match=said):
                await trip.submit()

    go(check())
    assert bench.count(PRODUCE) == {}


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "cut_body", "rubbish", "429"])
@pytest.mark.parametrize("operation", ["add_alphabet", "get_alphabet", "open_session"])
def test_trouble_before_the_order_leaves_no_doubt(bench: Bench, kind: Any, operation: str) -> None:
    """Whatever became of the alphabet, nothing was ordered: it is sent again, and accepted once."""
    bench.sim.fault("unique_tokens", kind, operation=operation, times=1)
    body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as trip:
            trouble = 0
            while trouble < 5 and trip.receipt is None:
                try:
                    await trip.submit()
                except (NotSent, Busy):
                    trouble += 1
            assert trouble in ((1,) if operation != "get_alphabet" else (0, 1))  # a lost GET is repeated at once
            assert (await trip.watch())[-1].verdict is Verdict.SUCCEEDED

    go(check())
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("same", ["accepted", "refused"])
def test_many_jobs_and_workers_with_one_alphabet(bench: Bench, same: str) -> None:
    """A bundle adds it once; of two workers the slower one takes what is there."""
    bench.sim.set_switches("unique_tokens", same_alphabet=same)
    bench.sim.fault("unique_tokens", "latency", operation="add_alphabet", seconds=0.3)
    body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as one, bench.trip(PRODUCE, body) as two:
            await one.operation.provider.session()
            ready = [trip.operation.prepare(trip.request) for trip in (one, two) for _ in range(20)]  # type: ignore[attr-defined]
            assert len(set(await asyncio.gather(*ready))) == 1

    go(check())
    assert sum(bench.count(PRODUCE, "add_alphabet").values()) == 2
    assert sum(bench.count(PRODUCE, "get_alphabet").values()) == 4


@pytest.mark.usefixtures("looks_each_time")
def test_a_new_session_gets_the_alphabet_again(bench: Bench) -> None:
    """It belongs to the session; between asking and ordering the session may go."""

    async def check() -> None:
        body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}
        async with bench.trip(PRODUCE, body) as trip:
            await trip.submit()
            old = bench.notes.recall("unique_tokens", "session") or ""
            bench.notes.forget("unique_tokens", "session", old)
            trip.intent["ident"] = "pi_other"
            await trip.submit()
            operation: Any = trip.operation

            async def replaced(request: Any) -> str:
                return "another session"

            operation.prepare = replaced
            with pytest.raises(NotSent, match="replaced"):
                await trip.submit()

    go(check())
    assert bench.count(PRODUCE, "add_alphabet") == {"201": 2}
    assert bench.count(PRODUCE) == {"201": 2}
