"""Declarations from plain metadata with real workers: signed in a forked child, stamped over HTTP, places in Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import samples
from workflows.command.stack import signing

from .conftest import House

pytestmark = pytest.mark.acceptance

JOBS = 12


@pytest.mark.timeout(120)
def test_plain_metadata_is_declared_by_real_workers(house: House, tmp_path: Path) -> None:
    """Each once, confirmed, and without a trace of the key in what the workers print."""
    house.sim.fault("tsa", "latency", seconds=0.05)
    own = signing(house.sim.url, tmp_path)
    house.worker("-P", "prefork", "-c", "2", **own)
    results = [
        house.send(
            "commonsdb.declare",
            {"metadata": samples.plain_metadata(f"work {number}"), "registry": samples.plain_registry()},
        )
        for number in range(JOBS)
    ]
    for result in results:
        outcome = result.get(timeout=60)
        assert outcome["state"] == "succeeded"
        assert outcome["result"] == {"identifier": outcome["remote_id"], "confirmed": True}
    books = house.sim.account()
    assert [job.accepted for job in books["commonsdb"].jobs.values()] == [1] * JOBS
    assert books["tsa"].requests["stamp"] == {"200": 2 * JOBS}
    assert house.redis.hkeys("settle:{commonsdb}:notes") == []  # every place was given back
    secret = samples.signing_key().as_dict(private=True)["d"]
    kept = "\n".join(house.log) + "\n".join(map(str, house.redis.keys()))
    assert str(secret) not in kept
