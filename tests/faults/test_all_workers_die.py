"""All workers at once: nothing is left but the ledger, and new workers go on from it."""

from __future__ import annotations

import pytest

from tests.waiting import until

from .conftest import Sent, Ward, kill

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(150)]

PROVIDERS_JOBS = 4


def _spread(house: Ward) -> list[Sent]:
    """Jobs that will be in several stages at the same moment: some hang while they are fetched, some while polled."""
    for operation in ("get_version", "conversion_status", "status"):
        provider = {"get_version": "myipr", "conversion_status": "lettrlabs", "status": "commonsdb"}[operation]
        house.sim.fault(provider, "latency", operation, seconds=0.3, times=6)
    house.sim.fault("unique_tokens", "slow_body", "data", seconds=20.0, times=3)
    jobs = [sent for number in range(PROVIDERS_JOBS) for sent in house.one_of_each(f"early-{number}", duration=20)]
    return jobs + [
        sent for number in range(PROVIDERS_JOBS) for sent in house.one_of_each(f"late-{number}", duration=300)
    ]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_all_workers_die_at_once(house: Ward, pool: str) -> None:
    """kill -9 of every worker while jobs are polled, fetched and finished: new workers bring all to their end."""
    workers = house.pair("-P", pool, "-c", "2")
    jobs = _spread(house)

    def stages() -> set[str | None]:
        return {house.state(sent) for sent in jobs}

    until(lambda: {"polling", "fetching", "succeeded"} <= stages(), "jobs in several stages", 30)
    late = house.one_of_each("unseen", duration=20)  # their triggers may be in a dying worker's hands
    for worker in workers:
        kill(worker)
    found = {state: sum(house.state(sent) == state for sent in jobs + late) for state in stages()}
    print(f"\nat the kill ({pool}): {found}")  # noqa: T201
    house.sim.clear_faults()
    house.pair("-P", pool, "-c", "2")
    house.assert_ended_well_once(jobs + late, 60, person=True)
    # Two new workers need some seconds to come up: that is nobody's lease.
    house.assert_in_time(jobs + late, f"all workers died ({pool})", 3 + 5 + 6)
    assert house.leftovers() == []
