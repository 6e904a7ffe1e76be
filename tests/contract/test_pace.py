"""Requests at a provider's rate: every request counts, and what waits for its turn has certainly not been sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from jobs.ledger import Ledger
from jobs.pacing import Turns
from jobs.record import Job
from providers.errors import Busy, NotSent, ProviderError
from providers.pace import Pace
from simulator import running, samples
from tests import ledgers
from tests.ledgers import fresh_ledger

from .bench import client, failing, go
from .server import http, scripted


class _Watched(Ledger):
    """A ledger that counts how often it is asked for turns, and may be away."""

    def __init__(self) -> None:
        super().__init__(ledgers.client(), clock=self, prefix=ledgers.new_prefix())
        self.asked = 0
        self.told: list[str] = []
        self.broken: Exception | None = None
        self.stall = self._late = 0.0  # the first answer takes so long to be read

    def now(self) -> float:
        return time.time() + self._late

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        if self.broken:
            raise self.broken
        self.asked += 1
        self.told += [token for token, _ in over]
        found = super().turns(provider, rate, holder, wanted, over)
        self._late = self.stall
        return found


async def _wait_until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_each_request_of_an_observation_counts() -> None:
    """Two processes, thirty observations of two requests each: never more than the rate in any second."""

    async def run() -> None:
        notes = fresh_ledger()
        with running(seed=3) as sim:
            options: dict[str, Any] = {"notes": notes, "rate": 25.0}
            async with (
                client("lettrlabs", sim.base_urls["lettrlabs"], **options) as one,
                client("lettrlabs", sim.base_urls["lettrlabs"], **options) as two,
            ):
                operation = one.operation("convert")
                request = operation.request.model_validate(
                    {"conversions": [samples.conversion(f"p-{n}") for n in "ab"]}
                )
                receipt = await operation.submit(request, operation.intent(request, "j-1"))
                receipt["remote_id"] = f"{receipt['remote_id']},{receipt['remote_id']}"  # two uploads to look at
                job = Job("j-1", "lettrlabs", "lettrlabs.convert", "polling", 0.0, 1e12, receipt=receipt)  # type: ignore[arg-type]
                begin = time.monotonic()
                looks = [each.operation("convert").observe(job) for each in (one, two) for _ in range(15)]
                await asyncio.gather(*looks)
                took = time.monotonic() - begin
            account = sim.account()["lettrlabs"]
        assert account.requests["conversion_status"] == {"200": 60}
        assert account.max_per_second <= 25
        assert took >= 2.0

    go(run())


def test_without_a_rate_nothing_waits() -> None:
    """The ledger is not even asked."""

    async def run() -> None:
        notes = _Watched()
        async with (
            scripted(lambda _: http(200, {"payload": {}})) as server,
            client("lettrlabs", server.url, notes=notes) as provider,
        ):
            await asyncio.gather(*(provider.http.call("GET", f"/{n}") for n in range(100)))
        assert notes.asked == 0

    go(run())


def test_many_requests_ask_for_their_turns_together() -> None:
    """A hundred requests at 500 per second need few calls of the ledger, and every end is told."""

    async def run() -> None:
        notes = _Watched()
        async with (
            scripted(lambda _: http(200, {})) as server,
            client("lettrlabs", server.url, notes=notes, rate=500.0) as provider,
        ):
            await asyncio.gather(*(provider.http.call("GET", f"/{n}") for n in range(100)))
            await _wait_until(lambda: len(notes.told) == 100)
        assert notes.asked < 50

    go(run())


def test_a_wait_that_is_cut_off_sent_nothing() -> None:
    """A submission that times out while it waits for its turn is not in doubt."""

    async def run() -> None:
        pace = Pace("alpha", 0.1, fresh_ledger())
        await pace.turn()
        with pytest.raises(NotSent):
            await asyncio.wait_for(pace.turn(), 0.2)
        pace.close()

    go(run())


def test_a_gate_that_closes_turns_the_waiting_ones_away() -> None:
    """They are told how long to stay away, and nothing of theirs is sent."""

    async def run() -> None:
        notes = fresh_ledger()
        async with (
            scripted(lambda _: http(200, {})) as server,
            client("lettrlabs", server.url, notes=notes, rate=10.0) as provider,
        ):
            calls = [asyncio.create_task(provider.http.call("GET", f"/{n}")) for n in range(30)]
            await _wait_until(lambda: len(server.seen) >= 2)
            notes.pause("lettrlabs", 60.0)
            answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Busy)]
        assert len(server.seen) + len(refused) == 30
        assert len(server.seen) <= 6
        assert all(50 < (error.retry_after or 0) <= 60 for error in refused)

    go(run())


def test_without_the_ledger_nothing_is_sent() -> None:
    """It never left, so it may be sent again; and it is as soon as the ledger is back."""

    async def run() -> None:
        notes = _Watched()
        async with (
            scripted(lambda _: http(200, {})) as server,
            client("lettrlabs", server.url, notes=notes, rate=50.0) as provider,
        ):
            notes.broken = ConnectionError("redis://secret@host")
            with pytest.raises(NotSent) as refused:
                await provider.http.call("GET", "/a")
            assert "secret" not in str(refused.value)
            assert server.seen == []
            notes.broken = None
            await provider.http.call("GET", "/b")
            assert len(server.seen) == 1

    go(run())


def test_a_process_that_stood_still_takes_another_turn() -> None:
    """Its turn counts as used by then: to send now would be one too many."""

    async def run(stall: float) -> int:
        notes = _Watched()
        notes.stall = stall
        pace = Pace("alpha", 20.0, notes)
        turn = await pace.turn()
        assert turn.at <= notes.now() <= turn.until
        pace.close()
        return notes.asked

    assert go(run(0.0)) == 1
    assert go(run(0.5)) > 1  # longer than any allowance


def test_the_end_of_a_failed_request_is_told() -> None:
    """A token is not kept by a connection that broke."""

    async def run() -> None:
        notes = _Watched()
        broken = failing(httpx.ReadError(""))
        async with client("lettrlabs", "http://api", notes=notes, rate=50.0, transport=broken) as provider:
            with pytest.raises(ProviderError):
                await provider.http.call("POST", "/a", json={})
            await _wait_until(lambda: len(notes.told) == 1)

    go(run())
