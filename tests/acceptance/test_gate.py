"""The gate with four real workers; the simulator's own account is the judge of what arrived."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator import samples
from tests.waiting import until

from .conftest import House

pytestmark = pytest.mark.acceptance

RATE = 50
#: Seconds of saturation that are judged.
JUDGED = 6
JOBS, NEIGHBOURS = 120, 40


def _settings() -> dict[str, str]:
    own = {"SETTLE_LETTRLABS__RATE": str(RATE), "SETTLE_LETTRLABS__POLL_FIRST": "0.5"}
    # As many bundles may be outstanding as there are threads: full hands would leave none for the neighbour.
    own |= {"SETTLE_BUNDLE__SIZE": "10", "SETTLE_BUNDLE__OUTSTANDING": "8"}
    for field in ("FIRST", "MINIMUM", "MAXIMUM"):
        own[f"SETTLE_MYIPR__POLL_{field}"] = "0.5"
    return own


def _counts(house: House, provider: str, first: int, last: int) -> list[int]:
    """Requests in each whole second from `first` up to, not including, `last`."""
    seen = house.sim.account()[provider].per_second
    return [seen.get(second, 0) for second in range(first, last)]


def _judged(house: House, provider: str) -> float:
    """Requests per second, from now on."""
    first = int(time.time()) + 1
    until(lambda: time.time() > first + JUDGED, "the judged seconds to pass")
    return sum(_counts(house, provider, first, first + JUDGED)) / JUDGED


@pytest.mark.timeout(150)
def test_the_rate_holds_with_four_workers_and_one_answer_pauses_all(house: House) -> None:
    """Never more than 50 in any second and at least 48, a neighbour is not slowed, `Retry-After` stops all workers."""
    house.environment.update(_settings())
    with ThreadPoolExecutor(4) as starting:
        list(starting.map(lambda n: house.worker("-P", "threads", "-c", "2", name=f"w{n}"), range(4)))
    for number in range(NEIGHBOURS):
        name = f"n-{number}"
        house.sim.plan("myipr", name, outcome="success", duration=36000)
        body = {"name": name, "category_id": "10", "hash": f"{number:064x}", "size": "1"}
        house.send("myipr.certify", body, name)
    until(lambda: len(house.sim.account()["myipr"].jobs) == NEIGHBOURS, "all neighbours submitted")
    alone = _judged(house, "myipr")
    for number in range(JOBS):
        house.sim.plan("lettrlabs", f"g-{number}", outcome="success", duration=36000)
        house.send("lettrlabs.convert", {"conversions": [samples.conversion(f"g-{number}")]}, f"g-{number}")
    until(lambda: len(house.sim.account()["lettrlabs"].jobs) == JOBS, "all submitted")

    first = int(time.time()) + 2
    until(lambda: time.time() > first + JUDGED, "the judged seconds to pass")
    counts = _counts(house, "lettrlabs", first, first + JUDGED)
    assert house.sim.account()["lettrlabs"].max_per_second <= RATE
    assert sum(counts) / JUDGED >= 0.96 * RATE, counts
    neighbours = _counts(house, "myipr", first, first + JUDGED)
    assert sum(neighbours) / JUDGED >= 0.9 * alone, (alone, neighbours)

    house.sim.fault("lettrlabs", "429", operation="conversion_status", times=1, retry_after=4)
    met = until(lambda: house.ledger.paused_until("lettrlabs"), "the closed gate")
    until(lambda: time.time() > met + 2, "the gate to open again")
    silent = _counts(house, "lettrlabs", int(met) - 2, int(met))  # from two seconds after the answer to the end
    assert silent == [0, 0]
    assert house.sim.account()["lettrlabs"].requests["conversion_status"]["429"] == 1
    assert sum(_counts(house, "myipr", int(met) - 2, int(met))) / 2 >= 0.8 * alone
    assert sum(_counts(house, "lettrlabs", int(met), int(met) + 2)) > 0
