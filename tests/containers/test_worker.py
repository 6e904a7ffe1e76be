"""A worker of our image, a broker, the ledger and the simulator, each in a container (pytest-celery)."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlparse

import pytest
from pytest_celery import CeleryTestSetup

from simulator import samples
from simulator.control import ControlClient

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]


def convert(order: str) -> dict[str, Any]:
    """What one conversion is triggered with."""
    return {"conversions": [samples.conversion(order)]}


def stored(setup: CeleryTestSetup, uri: str) -> bytes:
    """A file of the worker's container."""
    files = setup.worker.container.get_files(urlparse(uri).path)
    (content,) = files.values()
    return bytes(content)


def test_jobs_triggered_by_name_end_well_and_were_submitted_once(
    celery_setup: CeleryTestSetup, control: ControlClient
) -> None:
    # A client that knows nothing but the broker, the backend and the names of the tasks.
    client = celery_setup.app
    paid = samples.payment("order-2")
    control.plan("lettrlabs", "order-1", outcome="success", duration=30)
    control.plan("unique_tokens", paid["ident"], outcome="success", duration=30)

    upload = client.send_task("settle.lettrlabs.convert", kwargs=convert("order-1"), task_id="order-1")
    tokens = client.send_task(
        "settle.unique_tokens.produce",
        kwargs={
            "alphabet": "UPPER_HEX",
            "digits": 12,
            "size": 2000,
            "payment": {"id": paid["id"], "ident": paid["ident"]},
            "seed": "5b8df35d-391c-49d1-9a86-991e2601f3e5",
            "snapshot": True,
        },
        task_id="order-2",
    )

    assert upload.get(timeout=60)["state"] == "succeeded"
    outcome = tokens.get(timeout=60)
    assert outcome["state"] == "succeeded"
    assert [artifact["verification"] for artifact in outcome["artifacts"]] == ["verified", "verified"]
    for artifact in outcome["artifacts"]:
        content = stored(celery_setup, artifact["uri"])
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"]

    account = control.account()
    converted, produced = account["lettrlabs"].jobs["order-1"], account["unique_tokens"].jobs[paid["ident"]]
    assert (converted.submits, converted.accepted, produced.submits, produced.accepted) == (1, 1, 1, 1)
    assert produced.files_served == 2
    # It took at least 1.5 s, and was asked for more than once meanwhile: the clock ran.
    assert converted.polls > 1
