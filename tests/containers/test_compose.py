"""The compose file, brought up as a person would: everything healthy, Flower with a login, a job that ends."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import pytest
from celery import Celery

from simulator import samples
from simulator.control import ControlClient

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SERVICES = {"redis", "poll-worker", "file-worker", "flower", "simulator"}


class Compose:
    """One project of the compose file, under a name, with passwords and on ports of its own."""

    def __init__(self) -> None:
        self.project = f"settle-test-{secrets.token_hex(4)}"
        self.redis_password = secrets.token_hex(16)
        self.flower_password = secrets.token_hex(16)
        self._environment = {
            **os.environ,
            "APP_IMAGE": os.environ.get("APP_IMAGE", "settle:local"),
            "REDIS_PASSWORD": self.redis_password,
            "FLOWER_PASSWORD": self.flower_password,
            "REDIS_PORT": "0",
            "FLOWER_PORT": "0",
            "SIMULATOR_PORT": "0",
        }

    def run(self, *arguments: str, check: bool = True) -> str:
        """One compose command; what it printed."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--file", "docker-compose.yml", *arguments],
            cwd=ROOT,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
        )
        if check and done.returncode:
            pytest.fail(f"docker compose {arguments[0]}: {done.stdout}\n{self.logs()}", pytrace=False)
        return done.stdout

    def logs(self) -> str:
        """The ends of what the containers wrote."""
        return self.run("logs", "--no-color", "--tail", "40", check=False)

    def address(self, service: str, port: int) -> str:
        """Where a service can be reached from here."""
        return self.run("port", service, str(port)).strip()


@pytest.fixture
def compose() -> Iterator[Compose]:
    project = Compose()
    try:
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "20", check=False)


def test_the_compose_file_comes_up_healthy_and_ends_a_job(compose: Compose, docker_client: docker.DockerClient) -> None:
    compose.run("up", "--detach", "--no-build", "--wait", "--wait-timeout", "150")
    states = [json.loads(line) for line in compose.run("ps", "--all", "--format", "json").splitlines()]
    assert {state["Service"]: state["Health"] for state in states} == dict.fromkeys(SERVICES, "healthy")
    published = [port for state in states for port in state["Publishers"] or () if port["PublishedPort"]]
    assert {port["URL"] for port in published} == {"127.0.0.1"}

    flower = f"http://{compose.address('flower', 5555)}"
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=("settle", "wrong")).status_code == 401
    page = httpx.get(f"{flower}/workers", auth=("settle", compose.flower_password))
    assert page.status_code == 200

    redis = f"redis://:{compose.redis_password}@{compose.address('redis', 6379)}/0"
    paid = samples.payment("compose-1")
    with (
        ControlClient(f"http://{compose.address('simulator', 8080)}") as control,
        Celery("caller", broker=redis, backend=redis, set_as_current=False) as caller,
    ):
        control.plan("unique_tokens", paid["ident"], outcome="success", duration=40)
        job = caller.send_task(
            "settle.unique_tokens.produce",
            kwargs={
                "alphabet": "UPPER_HEX",
                "digits": 12,
                "size": 1000,
                "payment": {"id": paid["id"], "ident": paid["ident"]},
                "seed": "5b8df35d-391c-49d1-9a86-991e2601f3e5",
            },
            task_id="compose-1",
        )
        outcome = job.get(timeout=60)
        assert (outcome["state"], outcome["artifacts"][0]["verification"]) == ("succeeded", "verified")
        assert control.account()["unique_tokens"].jobs[paid["ident"]].submits == 1

    # Both workers had a part in it, and the file is on the volume that they share.
    name = outcome["artifacts"][0]["uri"].removeprefix("file://")
    digest = compose.run("exec", "--no-TTY", "poll-worker", "sha256sum", name).split()[0]
    assert digest == outcome["artifacts"][0]["sha256"]
    assert httpx.get(f"{flower}/api/workers", auth=("settle", compose.flower_password)).status_code == 200

    compose.run("down", "--volumes", "--timeout", "20")
    mine = {"label": f"com.docker.compose.project={compose.project}"}
    assert docker_client.containers.list(all=True, filters=mine) == []
    assert docker_client.networks.list(filters=mine) == []
    assert docker_client.volumes.list(filters=mine) == []
