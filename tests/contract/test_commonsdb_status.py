"""CommonsDB: `status` alone decides, under every switch that touches it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.clock import ManualClock
from providers.base import Verdict
from providers.commonsdb import CommonsDBSettings
from providers.errors import BadAnswer, TransientError
from tests.ledgers import fresh_ledger

from .bench import DECLARE, Bench, client, finished, go, job_of, request_of
from .server import http, scripted


async def observed(status: object, *, code: int = 200) -> Any:
    """What the client makes of this answer to a status call."""
    async with scripted(lambda _: http(code, status)) as server, client("commonsdb", server.url) as provider:
        return await provider.operation("declare").observe(job_of(DECLARE, {}, {"remote_id": "bbqjc"}))


# --- decide on `status` only ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict", "known"),
    [
        ({"status": "pending", "message": "success"}, Verdict.RUNNING, True),
        ({"status": "success", "message": "failed", "updatedAtDateTime": "never"}, Verdict.SUCCEEDED, True),
        ({"status": "failed", "message": "Declaration processed successfully"}, Verdict.FAILED, True),
        ({"status": "completed"}, Verdict.RUNNING, False),
        ({"status": "Success"}, Verdict.RUNNING, False),
        ({"status": "success "}, Verdict.RUNNING, False),
        ({"status": 200, "message": "success"}, Verdict.RUNNING, False),
        ({"status": ["success"]}, Verdict.RUNNING, False),
        ({"status": None}, Verdict.RUNNING, False),
        ({"type": "https://httpproblems.com/http-status/401", "status": 401}, Verdict.RUNNING, False),
        ({}, Verdict.RUNNING, False),
    ],
)
def test_only_the_status_text_decides(answer: dict[str, Any], verdict: Verdict, known: bool) -> None:
    """Exactly three words are known; anything else goes on running."""
    found = go(observed(answer))
    assert (found.verdict, found.known) == (verdict, known)


def test_a_status_of_another_identifier_says_nothing() -> None:
    """An answer that names another declaration is not ours."""
    with pytest.raises(BadAnswer):
        go(observed({"identifier": "another", "status": "success"}))


def test_failed_is_no_proof_that_the_declaration_does_not_exist(bench: Bench) -> None:
    """A later run may overwrite it (contract 3.3): polling stops, and the message says to look once more."""
    bench.sim.set_switches("commonsdb", failed_then_success_seconds=30)
    bench.sim.plan("commonsdb", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            bench.clock.advance(2)
            failed = await trip.observe()
            assert failed.verdict is Verdict.FAILED
            assert "storage write refused" in (failed.message or "")
            assert "look once more" in (failed.message or "")
            bench.clock.advance(30)
            assert (await trip.observe()).verdict is Verdict.SUCCEEDED

    go(check())


# --- poll at 2 to 5 s ----------------------------------------------------------------------------------------------


def test_poll_window_and_deadline_are_those_of_the_service() -> None:
    """2 to 5 s (seed page), and a deadline beyond the service's own stale rule of 75 min."""
    chosen = CommonsDBSettings()
    assert (chosen.poll_minimum, chosen.poll_maximum) == (2.0, 5.0)
    assert chosen.deadline >= 75 * 60


def test_the_stale_rule_ends_a_pending_declaration(bench: Bench) -> None:
    """After an hour the service gives up by itself."""
    bench.sim.plan("commonsdb", "Harbour", duration=1e6)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            assert (await trip.watch(step=600))[-1].verdict is Verdict.FAILED

    go(check())


# --- switches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"declare_code": 200},
        {"declare_code": 201},
        {"declare_code": 202},
        {"tracking_delayed": True, "not_found_seconds": 4},
        {"foreign_word": "processing"},
        {"content_type": "text/plain"},
        {"content_type": "text/html; charset=latin-1"},
        {"date_times": False},
        {"repeat_resets": False},
        {"version": "9.9", "env": "prod"},
        {"metadata_shape": "full", "findable_after_seconds": 60},
    ],
    ids=str,
)
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any]) -> None:
    """None of these choices changes the way of a declaration."""
    bench.sim.set_switches("commonsdb", **switches)
    bench.sim.plan("commonsdb", "Harbour", duration=20)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            seen = await trip.watch(step=3)
            finished(DECLARE, seen)
            assert len(seen) > 3

    go(check())


@pytest.mark.parametrize("window", [0, 12])
def test_no_status_record_yet_is_not_an_end(bench: Bench, window: float) -> None:
    """404 right after the acceptance means running, with a message."""
    bench.sim.set_switches("commonsdb", not_found_seconds=window)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            first = await trip.observe()
            assert first.verdict is Verdict.RUNNING
            assert (first.message == "no status record yet") is (window > 0)
            finished(DECLARE, await trip.watch())

    go(check())


def test_a_not_found_answer_that_is_not_the_apis_own_decides_nothing() -> None:
    """A proxy's page costs a poll; it does not say that there is no record."""
    with pytest.raises(BadAnswer):
        go(observed(b"", code=404))
    assert go(observed({"error": "Not found", "message": "no record"}, code=404)).verdict is Verdict.RUNNING


def test_an_unavailable_status_is_transient(bench: Bench) -> None:
    """A look-up that broke says nothing of the declaration."""
    bench.sim.fault("commonsdb", "500", operation="status")

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            with pytest.raises(TransientError):
                await trip.observe()

    go(check())


@pytest.mark.parametrize(("age", "gone"), [(299, False), (301, True)])
def test_a_declaration_without_a_record_is_given_up_only_when_it_is_too_old(bench: Bench, age: int, gone: bool) -> None:
    """A 404 long after the signature means that it never arrived, and never can: the caller must sign anew."""
    body = bench.body(DECLARE)
    signed = body["declaration"]["declarationMetadata"]["publicMetadata"]["timestamp"] / 1000
    notes = fresh_ledger(ManualClock(signed + age))

    async def check() -> None:
        async with client(
            "commonsdb", bench.sim.base_urls["commonsdb"], key=bench.sim.keys["commonsdb"], notes=notes
        ) as p:
            operation = p.operation("declare")
            request = request_of(operation, body)
            located = await operation.locate(request, operation.intent(request, "order-1"))
            assert (located.receipt, located.absent, bool(located.gone)) == (None, False, gone)

    go(check())
