"""kill -9 of a whole worker at every fail point: another one goes on, and nothing is sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fail_points import FAIL_POINTS
from tests.waiting import until
from workflows.command.stack import Process

from .conftest import GRACE, Ward, alive

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

#: A trigger that died with its worker comes back when the broker's patience is over and its next sweep has come.
TRIGGER = 6 + 10 + GRACE

#: Every point with the pool of production; those with something in flight also with the other one.
CASES = [(point, "prefork") for point in FAIL_POINTS] + [
    (point, "threads") for point in ("clock.after_claim", "submit.after_post", "poll.after_answer", "fetch.midway")
]


def _armed(house: Ward, tmp_path: Path, point: str, *pool: str) -> list[Process]:
    """Two workers, both armed: the first to get there dies, the other lives on."""
    token = tmp_path / "token"
    workers = house.pair(*pool, SETTLE_FAIL_POINT=f"{point}:{token}")
    token.touch()
    return workers


def _struck(token: Path, workers: list[Process]) -> bool:
    return not token.exists() and len(alive(workers)) == 1


@pytest.mark.parametrize(("point", "pool"), CASES)
def test_a_worker_dies_at_a_fail_point(house: Ward, tmp_path: Path, point: str, pool: str) -> None:
    """A certificate passes every stage: whoever dies where, it is certified once, fetched, verified and emitted."""
    workers = _armed(house, tmp_path, point, "-P", pool, "-c", "2")
    sent = house.certify("fail-point", duration=60)
    until(lambda: _struck(tmp_path / "token", workers), f"a death at {point}", 20)
    house.assert_ended_well_once([sent], TRIGGER + sent.seconds if point.startswith("intake") else 30)
    house.assert_in_time([sent], f"{point} ({pool})")
    assert house.leftovers() == []
