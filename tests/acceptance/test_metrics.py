"""Workers that serve their metrics: in every pool, and on a port that somebody else has."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from config.embedded import free_port
from simulator import samples
from tests.waiting import until

from .conftest import House

pytestmark = pytest.mark.acceptance


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def _port(house: House) -> int:
    line = until(lambda: next((line for line in house.log if "metrics_served" in line), None), "the port")
    return int(line.rpartition("port=")[2].split()[0])


def _convert(house: House, name: str) -> Any:
    house.sim.plan("lettrlabs", name, outcome="success", duration=20)
    return house.send("lettrlabs.convert", {"conversions": [samples.conversion(name)]}, name)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_of_each_pool_serves_what_it_and_its_children_did(house: House, pool: str, tmp_path: Path) -> None:
    """Polls happen in children, ticks in the main process: one page has both. Its files go with it."""
    house.environment["TMPDIR"] = str(tmp_path)
    left, other = tmp_path / "settle-metrics-left", tmp_path / "settle-metrics-other"
    for folder in (left, other):
        folder.mkdir()
    living = os.open(other, os.O_RDONLY)  # of another worker; the first is of one that was killed
    fcntl.flock(living, fcntl.LOCK_EX)
    worker = house.worker("-P", pool, "-c", "2", SETTLE_METRICS__PORT="0")
    for name in ("m-1", "m-2", "m-3"):
        assert _convert(house, name).get(timeout=30)["state"] == "succeeded"
    port = _port(house)
    assert len(list(tmp_path.glob("settle-metrics-*"))) == 2
    assert other.exists()

    def polled() -> bool:
        return _value(_metrics(port), 'settle_polls_total{provider="lettrlabs",result="succeeded"}') == 3

    until(polled, "three polls")
    text = _metrics(port)
    assert _value(text, 'settle_looks_total{what="clock"}') > 3
    assert _value(text, 'settle_jobs{provider="lettrlabs",state="succeeded"}') == 3
    assert _value(text, "settle_ledger_up") == 1
    assert _value(text, "process_start_time_seconds") > 1e9
    assert _value(text, 'settle_request_seconds_count{method="GET",provider="lettrlabs",result="2xx",what="call"}') >= 3
    assert worker.stop() == 0
    assert list(tmp_path.glob("settle-metrics-*")) == [other]
    os.close(living)


@pytest.mark.timeout(90)
def test_a_ledger_that_is_away_is_said_and_everything_else_still_served(house: House) -> None:
    """Just then somebody looks: the page answers, with the reason."""
    house.worker("-P", "solo", SETTLE_METRICS__PORT="0")
    port = _port(house)
    until(lambda: _value(_metrics(port), "settle_ledger_up") == 1, "the ledger")
    house.server.kill()
    until(lambda: "settle_ledger_up 0.0" in _metrics(port), "the ledger to be away")
    text = _metrics(port)
    assert "settle_jobs{" not in text
    assert _value(text, 'settle_looks_total{what="clock"}') > 0
    house.server.start()
    until(lambda: _value(_metrics(port), "settle_ledger_up") == 1, "the ledger again")


@pytest.mark.timeout(90)
def test_a_port_that_is_taken_stops_no_job(house: House) -> None:
    """Said once, with the remedy; served as soon as the port is free, as when a worker replaces another."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        house.worker("-P", "threads", "-c", "2", SETTLE_METRICS__PORT=str(port))
        assert _convert(house, "p-1").get(timeout=30)["state"] == "succeeded"
        said = until(lambda: [line for line in house.log if "metrics_not_served" in line], "the reason")
        assert len(said) == 1
        assert "SETTLE_METRICS__PORT" in said[0]
    assert _port(house) == port
    assert (
        _value(
            _metrics(port),
            'settle_jobs_finished_total{kind="",provider="lettrlabs",state="succeeded",workflow="lettrlabs.convert"}',
        )
        == 1
    )


@pytest.mark.timeout(60)
def test_without_a_port_nothing_listens_and_nothing_is_written(house: House, tmp_path: Path) -> None:
    """Off unless somebody sets it."""
    house.environment["TMPDIR"] = str(tmp_path)
    house.worker("-P", "threads", "-c", "2")
    assert _convert(house, "o-1").get(timeout=30)["state"] == "succeeded"
    assert list(tmp_path.glob("settle-metrics-*")) == []
    assert not any("metrics_" in line for line in house.log)
