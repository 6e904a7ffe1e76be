"""The client of other applications against real workers, on every broker; with Sentinel, through a fail-over."""

from __future__ import annotations

from typing import Any

import pytest

from settle_client import JobFailed, Settle, key_of, ref
from simulator import samples

from .conftest import House

pytestmark = [pytest.mark.acceptance, pytest.mark.every_broker]


def _certify(name: str, **changes: Any) -> dict[str, Any]:
    body = samples.certificate_request(name)
    return {key: body[key] for key in ("name", "category_id", "hash", "size")} | changes


@pytest.mark.timeout(120)
def test_jobs_from_trigger_to_typed_end(house: House) -> None:
    """Success with what follows it, failure and refusal; each trigger twice, and each job once."""
    house.worker("-P", "threads", "-c", "2")
    for name, outcome in (("client good", "success"), ("client next", "success"), ("client bad", "failed")):
        house.sim.plan("myipr", name, outcome=outcome, duration=40)  # type: ignore[arg-type]
    primary = house.servers.options.get("broker_transport_options", {}).get("master_name")
    with Settle(house.servers.broker, house.servers.url, master_name=primary) as settle:
        follows = _certify("client next", size=ref("artifacts[0].size"))
        for _ in range(2):
            good = settle.myipr.certify(
                **_certify("client good"),
                job_id=key_of("client", 1, prefix="client-"),
                tags={"shop": "7"},
                then=[{"workflow": "myipr.certify", "kwargs": follows}],
            )
            bad = settle.myipr.certify(**_certify("client bad"), job_id="client-bad")
            refused = settle.send("myipr.certify", _certify("client never", hash="no hash"), job_id="client-refused")
        seen = [outcome.state for outcome in good.follow(timeout=90, interval=0.02)]
        outcome = good.wait(timeout=1)
        assert "polling" in seen
        assert seen[-1] == outcome.state == "succeeded"
        assert (outcome.tags, outcome.artifacts[0].name) == ({"shop": "7"}, "certificate.pdf")
        assert outcome.next is not None
        assert settle.job(outcome.next).wait(timeout=60).parent == good.id
        with pytest.raises(JobFailed) as failed:
            bad.wait(timeout=60)
        assert failed.value.outcome is not None
        assert (failed.value.kind, failed.value.outcome.state) == ("provider_failed", "failed")
        with pytest.raises(JobFailed, match="hash: ") as invalid:
            refused.wait(timeout=60)
        assert (invalid.value.kind, "new id" in str(invalid.value.remedy)) == ("invalid", True)
    books = house.sim.account()["myipr"]
    assert {name: job.submits for name, job in books.jobs.items()} == {
        "client good": 1, "client next": 1, "client bad": 1,
    }  # fmt: skip
    assert not books.doubles
