"""A worker that is asked to end: every connection is closed, nothing is complained about, and it takes no time."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from simulator import samples
from tests.waiting import until
from workflows.command.stack import celery

from .conftest import House

pytestmark = pytest.mark.acceptance


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_ends_without_a_word(house: House, tmp_path: Path, pool: str) -> None:
    """Its clients to the providers were used for polls, orders and files, by several threads at once."""
    log = tmp_path / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            celery("worker", "-n", "ends@%h", "-P", pool, "-c", "4"),
            env=house.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: " ready." in log.read_text(), "the worker to be ready")
        results = []
        for number in range(12):
            payment = samples.payment(f"ends {number}")
            house.sim.plan("unique_tokens", payment["ident"], outcome="success", duration=10)
            paid = {"id": payment["id"], "ident": payment["ident"]}
            body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 1000, "payment": paid, "seed": "a-seed"}
            results.append(house.send("unique_tokens.produce", body, f"ends-{number}"))
            upload = {"conversions": [samples.conversion(f"ends-{number}")]}
            results.append(house.send("lettrlabs.convert", upload, f"upload-{number}"))
        for result in results:
            result.get(timeout=60)
        begun = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        took = time.monotonic() - begun
    finally:
        worker.kill()
        worker.wait()
        house.log += log.read_text().splitlines()
    text = log.read_text()
    assert "Unclosed" not in text, text[-3000:]
    assert "Traceback" not in text, text[-3000:]
    assert took < 10
