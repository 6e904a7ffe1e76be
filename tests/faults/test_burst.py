"""More files are ready at once than can be fetched within a lease: the backlog is worked off, not republished."""

from __future__ import annotations

import time

import pytest

from simulator.plans import PROVIDERS
from tasks.onward import AT_ONCE

from .conftest import Ward, every

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(200)]

JOBS = 400
SIZE, OUTSTANDING = 50, 2


@pytest.mark.parametrize(("small", "at_once"), [(1024**2, AT_ONCE), (0, 1)], ids=["bundles", "singles"])
def test_a_backlog_of_many_leases_is_worked_off(house: Ward, small: int, at_once: int) -> None:
    """One slot, files that are ready within seconds: each message counts when its turn comes, and few are doubled."""
    house.environment |= {
        f"SETTLE_{name.upper()}__{kind}_TIMEOUT": "0.4" for name in PROVIDERS for kind in ("CONNECT", "READ")
    }
    house.environment |= {
        "SETTLE_LEASE": "1",
        "SETTLE_SMALL_FILES": str(small),
        "SETTLE_BUNDLE__SIZE": str(SIZE),
        "SETTLE_BUNDLE__OUTSTANDING": str(OUTSTANDING),
    }
    jobs = [house.produce(f"burst-{number}", duration=1) for number in range(JOBS)]
    began = time.monotonic()
    lengths = [0]
    house.worker("-P", "threads", "-c", "1")
    every(
        0.2,
        lambda: lengths.append(int(house.redis.llen("settle.files"))),  # type: ignore[arg-type]
        lambda: not house.finished(jobs[-50:]) and time.monotonic() < began + 150,
    )
    house.assert_ended_well_once(jobs, 30)
    took = time.monotonic() - began
    print(f"\nburst: {JOBS} jobs in {took:.1f} s with one slot, at most {max(lengths)} messages waited")  # noqa: T201
    assert max(lengths) > 100 / at_once, "no backlog: nothing was shown"
    assert max(lengths) <= JOBS + SIZE * OUTSTANDING + SIZE
