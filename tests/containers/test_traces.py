"""The image that is built with `EXTRAS=otel`: its spans reach a collector."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from simulator import samples
from simulator.control import ControlClient

from .conftest import APP_IMAGE, OTEL_IMAGE, REDIS_IMAGE, Redis, Simulator, Start, Worker, pointed_at
from .load import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]

SEND = "from config.celery_app import app; app.send_task('settle.lettrlabs.convert', kwargs={kwargs}, task_id='traced')"


def test_a_job_is_traced(start: Start, simulator: Simulator, control: ControlClient) -> None:
    """From a worker of the image to whoever takes spans."""
    program = {str(Path(__file__).with_name("receiver.py")): {"bind": "/receiver.py", "mode": "ro"}}
    collector = start(APP_IMAGE, "collector", ["python", "/receiver.py"], volumes=program)
    start(REDIS_IMAGE, "ledger", Redis.command(), tmpfs={"/data": "mode=1777"}, user="root")
    environment = {
        "SETTLE_REDIS_URL": "redis://ledger:6379/0",
        "SETTLE_TRACES__ON": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:8090",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        **pointed_at(simulator),
    }
    worker = start(OTEL_IMAGE, "worker", Worker.command(), environment=environment)
    until(lambda: b" ready." in worker.logs(), "the worker")
    control.plan("lettrlabs", "traced", outcome="success", duration=10)
    kwargs = {"conversions": [samples.conversion("traced")]}
    sent = worker.exec_run(["python", "-c", SEND.format(kwargs=kwargs)])
    assert sent.exit_code == 0, sent.output
    names = (b"settle.accept", b"settle.submit", b"settle.poll")
    until(lambda: all(name in collector.logs() for name in names), f"spans of {names}")


def test_the_other_image_says_what_it_lacks(docker_client: docker.DockerClient) -> None:
    """Before anything starts, with what to do."""
    command = ["settle", "list"]
    environment = {"SETTLE_TRACES__ON": "true", "SETTLE_REDIS_URL": "redis://nowhere"}
    with pytest.raises(docker.errors.ContainerError) as refused:
        docker_client.containers.run(APP_IMAGE, command, environment=environment, remove=True)
    assert refused.value.exit_status == 5
    assert b"settle-jobs[otel]" in refused.value.stderr
