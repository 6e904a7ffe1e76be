"""Each client at a rate limit whose numbers nobody published: told in seconds, by a date, or not at all."""

from __future__ import annotations

import pytest

from providers.errors import Busy

from .bench import WAYS, Bench, Trip, Way, go, named


async def _observe_often(trip: Trip, times: int) -> None:
    for _ in range(times):
        await trip.observe()


@pytest.mark.parametrize("form", ["seconds", "date", "absent"])
@pytest.mark.parametrize("limit", [3, 5])
@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_rate_limit_is_busy_and_passes(bench: Bench, way: Way, limit: int, form: str) -> None:
    """A 429 is no verdict on the job: it says how long to wait, if it says so, and after that the job goes on."""
    body = bench.body(way)
    window = {"rate_limit": limit, "rate_window_seconds": 40, "retry_after_form": form}
    bench.sim.plan(way.provider, way.reference, outcome="success", duration=1e6)  # type: ignore[arg-type]

    async def check() -> None:
        async with bench.trip(way, body) as trip:
            await trip.submit()
            bench.sim.set_switches(way.provider, **window)  # type: ignore[arg-type]
            with pytest.raises(Busy) as busy:
                await _observe_often(trip, limit + 1)
            wait = busy.value.retry_after
            if form == "absent":
                assert wait is None
            else:
                assert wait is not None
                assert 0 < wait <= 42
            bench.clock.advance(41)
            await trip.observe()

    go(check())
