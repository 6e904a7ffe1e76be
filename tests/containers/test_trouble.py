"""What only containers show, on each broker: kills, memory that runs out, a restart, a cut network, a new version."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import docker
import pytest
from celery import Celery
from docker.models.containers import Container
from docker.models.networks import Network
from pytest_celery import CeleryTestSetup

from simulator.control import ControlClient

from .conftest import APP_IMAGE, Worker
from .load import Load, until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(240)]


@pytest.fixture
def load(celery_setup: CeleryTestSetup, control: ControlClient) -> Load:
    """Jobs sent by an application that has none of our code."""
    return Load(celery_setup.app, control)


@pytest.fixture
def another_worker(
    docker_client: docker.DockerClient, default_worker_env: dict[str, str], default_pytest_celery_network: Network
) -> Iterator[Callable[[], Container]]:
    """Starts one more worker, and waits until it is ready."""
    with ExitStack() as exits:

        def start() -> Container:
            started = docker_client.containers.run(
                APP_IMAGE,
                Worker.command(),
                environment=default_worker_env,
                network=default_pytest_celery_network.name,
                detach=True,
            )
            exits.callback(started.remove, force=True)
            until(lambda: " ready." in _log(started), "the other worker")
            return started

        yield start


def _log(worker: Any) -> str:
    text = worker.logs()
    return text.decode() if isinstance(text, bytes) else str(text)


def _finished(worker: Any) -> set[str]:
    """The jobs whose end this worker wrote."""
    return set(re.findall(r"job_moved job_id=(\S+) .* to=succeeded", _log(worker)))


def test_a_worker_is_killed(celery_setup: CeleryTestSetup, load: Load) -> None:
    """SIGKILL with jobs that are polled, and others whose request is on its way; then the worker comes back."""
    load.send(4)
    load.reach("POLLING")
    load.half_sent()
    celery_setup.worker.kill()
    assert celery_setup.worker.container.status == "exited"
    celery_setup.worker.restart()
    load.end_well()


def test_the_kernel_kills_for_memory(celery_setup: CeleryTestSetup, load: Load) -> None:
    """The container's memory runs out, and the children of the pool are what the kernel takes first."""
    load.send(4)
    load.reach("POLLING")
    worker = celery_setup.worker.container
    load.half_sent()
    eater = (
        "import os, pathlib\n"
        "for child in pathlib.Path('/proc/1/task/1/children').read_text().split():\n"
        "    pathlib.Path(f'/proc/{child}/oom_score_adj').write_text('1000')\n"
        "eaten = []\n"
        "while True: eaten.append(os.urandom(1 << 20))\n"
    )
    code, _ = worker.exec_run(["python", "-c", eater])
    assert code == 137  # in the end it was killed itself
    lost = until(lambda: re.findall(r"exited with 'signal 9 \(SIGKILL\)'", _log(worker)), "a dead child")
    assert lost
    worker.reload()
    assert worker.status == "running"
    load.end_well()


def test_the_broker_restarts(celery_setup: CeleryTestSetup, load: Load) -> None:
    """It comes back – Redis here with nothing in it – and the same worker goes on, with old jobs and new ones."""
    load.send(4)
    load.reach("POLLING")
    load.half_sent()
    load.reach("POLLING")
    celery_setup.broker.restart()
    celery_setup.broker.ready()
    worker = celery_setup.worker.container
    with _client(celery_setup) as client:  # its port is another one now
        until(lambda: client.control.ping(timeout=1), "the worker at its broker again")
        load.send(2, client)
        load.end_well()
    worker.reload()
    assert (worker.status, worker.attrs["RestartCount"]) == ("running", 0)


def _client(setup: CeleryTestSetup) -> Celery:
    setup.broker.container.reload()
    addresses = setup.broker.container.celeryconfig["host_url"], setup.backend.container.celeryconfig["host_url"]
    return Celery("again", broker=addresses[0], backend=addresses[1], set_as_current=False)


def test_the_network_is_cut(celery_setup: CeleryTestSetup, load: Load, default_pytest_celery_network: Network) -> None:
    """The worker is cut off from everything for longer than a lease, and plugged in again: the same process goes on."""
    load.send(4)
    load.reach("POLLING")
    load.half_sent()
    worker = celery_setup.worker.container
    default_pytest_celery_network.disconnect(worker.id)
    # Its leases run out meanwhile, and nobody else is there to take the jobs.
    until(_passed(8.0), "the time without a network")
    assert {job.state for job in load.sent.values()}.isdisjoint({"SUCCESS", "FAILURE"})
    default_pytest_celery_network.connect(worker.id)
    load.send(2)
    load.end_well()
    worker.reload()
    assert (worker.status, worker.attrs["RestartCount"]) == ("running", 0)


def _passed(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_two_workers_share_and_one_is_replaced(
    celery_setup: CeleryTestSetup,
    load: Load,
    another_worker: Callable[[], Container],
    docker_client: docker.DockerClient,
) -> None:
    """Both work; then a third starts, the first is stopped with jobs in its hands, and nobody notices."""
    first, second = docker_client.containers.get(celery_setup.worker.container.id), another_worker()
    load.seconds = 2.0
    while not (_finished(first) and _finished(second)):
        load.send(6)
        load.reach("SUCCESS")
        assert len(load.sent) < 120, "one of the two workers gets nothing to do"
    third = another_worker()
    load.seconds = 6.0
    load.send(4)
    load.half_sent()
    first.stop(timeout=45)
    second.stop(timeout=45)
    assert [first.wait()["StatusCode"], second.wait()["StatusCode"]] == [0, 0]  # in order, not by SIGKILL
    load.send(2)
    load.end_well()
    assert _finished(third)
