"""A key is replaced at the provider while jobs are under way: they wait for the new one; none is lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import samples
from tests.waiting import until

from .conftest import House

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]


def _certificate(name: str) -> dict[str, Any]:
    body = samples.certificate_request(name)
    return {key: body[key] for key in ("name", "category_id", "hash", "size")}


@pytest.mark.parametrize("order", ["key first", "workers first"])
def test_a_key_is_rotated_without_losing_a_job(house: House, order: str) -> None:
    """Whoever is first, the provider or we: until both have the new key, jobs wait."""
    sim, names = house.sim, ["polled", "waiting", "triggered later"]
    for name in names:
        sim.plan("myipr", name, outcome="success", duration=120)
    old = house.worker("-P", "threads", "-c", "2")
    house.send("myipr.certify", _certificate("polled"), "j-0")
    until(lambda: [job.state for job in house.ledger.jobs("myipr")] == ["polling"], "a job under way")

    def refused() -> bool:
        return any("provider_paused" in line and "unauthorized" in line for line in house.log)

    if order == "key first":
        sim.keys["myipr"] = "the-new-key-of-myipr"
        until(refused, "the old key refused")
        house.send("myipr.certify", _certificate("waiting"), "j-1")
        old.stop()
        house.worker("-P", "threads", "-c", "2", SETTLE_MYIPR__API_KEY="the-new-key-of-myipr")
    else:
        old.stop()
        house.worker("-P", "threads", "-c", "2", SETTLE_MYIPR__API_KEY="the-new-key-of-myipr")
        house.send("myipr.certify", _certificate("waiting"), "j-1")
        until(refused, "the new key not known yet")
        sim.keys["myipr"] = "the-new-key-of-myipr"
    house.ledger.open_gate("myipr")  # settle resume --provider myipr: no need to wait for the next probe
    house.send("myipr.certify", _certificate("triggered later"), "j-2")
    until(lambda: [job.state for job in house.ledger.jobs("myipr")] == ["succeeded"] * 3, "all of them")
    assert {name: sim.account()["myipr"].jobs[name].accepted for name in names} == dict.fromkeys(names, 1)
    assert "the-new-key-of-myipr" not in "\n".join(house.log)
