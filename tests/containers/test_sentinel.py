"""Redis behind three Sentinels, each in a container: the primary dies with jobs under way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from docker.models.containers import Container

from simulator import samples
from simulator.control import ControlClient

from .conftest import APP_IMAGE, REDIS_IMAGE, Simulator, Start, Worker, pointed_at
from .load import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(240)]

#: What an application does that has none of our code.
SEND = """
import json, sys
from celery import Celery
url, options = sys.argv[1], {"master_name": "ledger"}
app = Celery(broker=url, backend=url)
app.conf.update(broker_transport_options=options, result_backend_transport_options=options)
for name, kwargs in json.loads(sys.argv[2]).items():
    app.send_task("settle.lettrlabs.convert", kwargs=kwargs, task_id=name)
"""
ADDRESS = ";".join(f"sentinel://:a-password@sentinel-{number}:26379" for number in range(3))


def _server(start: Start, name: str, *arguments: str) -> Container:
    both = ["--requirepass", "a-password", "--masterauth", "a-password", "--replica-announce-ip", name]
    both += ["--appendonly", "yes", "--dir", "/tmp", "--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0"]
    return start(REDIS_IMAGE, name, ["redis-server", *both, *arguments], environment={"REDISCLI_AUTH": "a-password"})


def _sentinel(start: Start, number: int) -> Container:
    lines = [
        "port 26379",
        "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes",
        f"sentinel announce-ip sentinel-{number}",
        "sentinel monitor ledger redis-one 6379 2",
        "sentinel auth-pass ledger a-password",
        "sentinel down-after-milliseconds ledger 3000",
        "protected-mode no",
    ]
    configured = f"printf '%s\\n' {' '.join(repr(line) for line in lines)} >/tmp/sentinel.conf"
    command = ["sh", "-c", f"{configured} && exec redis-server /tmp/sentinel.conf --sentinel"]
    return start(REDIS_IMAGE, f"sentinel-{number}", command)


def _told(container: Container, *command: str) -> str:
    return str(container.exec_run(["redis-cli", *command]).output.decode())


def test_the_primary_dies(start: Start, simulator: Simulator, control: ControlClient) -> None:
    """Killed with jobs polled, and others whose request is on its way: all end, and each was submitted once."""
    one, two = _server(start, "redis-one"), _server(start, "redis-two", "--replicaof", "redis-one", "6379")
    until(lambda: "state=online" in _told(one, "info", "replication"), "the replica")
    sentinels = [_sentinel(start, number) for number in range(3)]
    sees = ["-p", "26379", "sentinel", "ckquorum", "ledger"]
    until(lambda: all("OK 3 usable" in _told(sentinel, *sees) for sentinel in sentinels), "three Sentinels")
    environment = {
        "SETTLE_REDIS_URL": ADDRESS.replace(":a-password@", ""),
        "SETTLE_REDIS_PASSWORD": "a-password",
        "SETTLE_SENTINEL__MASTER": "ledger",
        **pointed_at(simulator),
        "SETTLE_LEASE": "15",  # longer than this fail-over takes: else whoever holds an answer has lost its claim
    }
    worker = start(APP_IMAGE, "worker", Worker.command(), environment=environment)
    until(lambda: b" ready." in worker.logs(), "the worker")

    def send(names: list[str]) -> None:
        for name in names:
            control.plan("lettrlabs", name, outcome="success", duration=6 * control.health()["speed"])
        bodies = json.dumps({name: {"conversions": [samples.conversion(name)]} for name in names})
        done = worker.exec_run(["python", "-c", SEND, ADDRESS, bodies])
        assert done.exit_code == 0, done.output

    def books() -> dict[str, Any]:
        return dict(control.account()["lettrlabs"].jobs)

    polled, halfway, late = [[f"{word}-{n}" for n in range(4)] for word in ("polled", "halfway", "late")]
    send(polled)
    until(lambda: all(name in books() and books()[name].polls for name in polled), "jobs that are polled")
    control.fault("lettrlabs", "latency", operation="create_conversions", seconds=2)
    send(halfway)
    until(lambda: set(books()) & set(halfway), "a request on its way")
    one.kill()
    control.clear_faults("lettrlabs")
    asked = ["-p", "26379", "sentinel", "get-master-addr-by-name", "ledger"]
    until(lambda: "redis-two" in _told(sentinels[0], *asked), "the other one to take over")
    one.start()  # as its supervisor would; without a replica the new primary takes no writes
    until(lambda: "state=online" in _told(two, "info", "replication"), "the old primary as a replica")
    send(late)
    every = [*polled, *halfway, *late]
    waited = worker.exec_run(["settle", "wait", *every, "--timeout", "90", "--json"])
    ends = [json.loads(line) for line in waited.output.decode().splitlines() if line.startswith("{")]
    assert {end["job_id"]: end["state"] for end in ends} == dict.fromkeys(every, "succeeded"), waited.output
    assert {name: (job.submits, job.accepted) for name, job in books().items()} == dict.fromkeys(every, (1, 1))
    worker.reload()
    assert (worker.status, worker.attrs["RestartCount"]) == ("running", 0)
