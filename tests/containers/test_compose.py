"""The compose file, brought up as a person would: healthy, scaled, closed to strangers, with jobs that end."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from celery import Celery

from simulator import samples
from simulator.control import ControlClient

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SERVICES = {"redis", "poll-worker", "file-worker", "flower", "webhooks", "simulator"}
PROFILES = ("--profile", "simulator", "--profile", "monitoring")


class Compose:
    """One project of the compose file, under a name, with secrets and on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.project = f"settle-test-{secrets.token_hex(4)}"
        self.folder = folder / "secrets"
        self._environment = {
            **os.environ,
            "APP_IMAGE": os.environ.get("APP_IMAGE", "settle:local"),
            "SECRETS_DIR": str(self.folder),
            "REDIS_PORT": "0",
            "FLOWER_PORT": "0",
            "SIMULATOR_PORT": "0",
        }
        subprocess.run(["docker/make-secrets.sh", "--simulated"], cwd=ROOT, env=self._environment, check=True)

    def secrets(self) -> dict[str, str]:
        """The secrets by the names of their files."""
        return {file.name: file.read_text() for file in self.folder.iterdir()}

    def run(self, *arguments: str, check: bool = True, **environment: str) -> str:
        """One compose command; what it printed."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--file", "docker-compose.yml", *arguments],
            cwd=ROOT,
            env={**self._environment, **environment},
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
        return self.run(*PROFILES, "logs", "--no-color", "--tail", "40", check=False)

    def up(self, *arguments: str) -> list[dict[str, Any]]:
        """Bring it up, and wait until all is healthy; what `compose ps` tells of each container."""
        wanted = ("--detach", "--no-build", "--wait", "--wait-timeout", "150")
        self.run("--profile", "simulator", "up", *wanted, *arguments)
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def address(self, service: str, port: int) -> str:
        """Where a service can be reached from here."""
        return self.run("port", service, str(port)).strip()


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    project = Compose(tmp_path)
    try:
        yield project
    finally:
        project.run(*PROFILES, "down", "--volumes", "--timeout", "20", check=False)


def produce(caller: Celery, control: ControlClient, name: str) -> dict[str, Any]:
    """A job with a file, to its end: its outcome, after a look into the simulator's books."""
    paid = samples.payment(name)
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
        task_id=name,
    )
    outcome: dict[str, Any] = job.get(timeout=60)
    assert (outcome["state"], outcome["artifacts"][0]["verification"]) == ("succeeded", "verified")
    assert control.account()["unique_tokens"].jobs[paid["ident"]].submits == 1
    return outcome


def test_the_compose_file_comes_up_healthy_and_ends_jobs(compose: Compose, docker_client: docker.DockerClient) -> None:
    states = compose.up()
    assert {state["Service"]: state["Health"] for state in states} == dict.fromkeys(SERVICES, "healthy")
    published = [port for state in states for port in state["Publishers"] or () if port["PublishedPort"]]
    assert {port["URL"] for port in published} == {"127.0.0.1"}
    mine = {"label": f"com.docker.compose.project={compose.project}"}
    hardened(docker_client.containers.list(filters=mine))
    known = compose.secrets()
    no_secrets(docker_client.containers.list(filters=mine), set(known.values()))

    flower, login = f"http://{compose.address('flower', 5555)}", ("settle", known["flower_password"])
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=("settle", "wrong")).status_code == 401
    assert httpx.get(f"{flower}/workers", auth=login).status_code == 200

    redis = f"redis://:{known['redis_password']}@{compose.address('redis', 6379)}/0"
    with (
        ControlClient(f"http://{compose.address('simulator', 8080)}") as control,
        Celery("caller", broker=redis, backend=redis, set_as_current=False) as caller,
    ):
        outcome = produce(caller, control, "compose-1")
        # Both workers had a part in it, and the file is on the volume that they share.
        name = outcome["artifacts"][0]["uri"].removeprefix("file://")
        digest = compose.run("exec", "--no-TTY", "poll-worker", "sha256sum", name).split()[0]
        assert digest == outcome["artifacts"][0]["sha256"]

        states = compose.up("--scale", "poll-worker=4")
        workers = [state["Health"] for state in states if state["Service"] == "poll-worker"]
        assert workers == ["healthy"] * 4
        assert len(caller.control.ping(timeout=3)) == 5
        produce(caller, control, "compose-2")

    compose.run("--profile", "simulator", "down", "--volumes", "--timeout", "20")
    assert docker_client.containers.list(all=True, filters=mine) == []
    assert docker_client.networks.list(filters=mine) == []
    assert docker_client.volumes.list(filters=mine) == []


def hardened(containers: list[Any]) -> None:
    """No root, nothing that can be written but volumes, no way up, limits, and a restart after a crash."""
    for container in containers:
        host, name = container.attrs["HostConfig"], container.name
        assert container.exec_run(["id", "-u"]).output.strip() != b"0", name
        assert container.exec_run(["touch", "/opt/x"]).exit_code != 0, name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name


def no_secrets(containers: list[Any], secret: set[str]) -> None:
    """Not in what `docker inspect` shows, and not in the arguments or the environment of any process."""
    shell = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'"
    for container in containers:
        shown = json.dumps(container.attrs)
        shown += container.exec_run(["sh", "-c", shell]).output.decode(errors="replace")
        assert "PATH=" in shown  # something was read
        assert [text for text in secret if text in shown] == [], container.name


def test_without_secrets_nothing_starts(compose: Compose) -> None:
    """Compose names the file that is missing, before anything runs."""
    (compose.folder / "redis_password").unlink()
    told = compose.run("up", "--detach", "--no-build", check=False)
    assert "redis_password" in told
    assert compose.run("ps", "--all", "--format", "json", check=False).strip() == ""


def test_profiles_and_images_can_be_chosen(compose: Compose) -> None:
    """Only what is asked for; monitoring reads the files of docker/; every image has a variable of its own."""
    assert set(compose.run("config", "--services").split()) == SERVICES - {"simulator"}
    images = {"APP_IMAGE", "REDIS_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
    chosen = {name: f"registry.example/{name.lower()}:1" for name in images}
    whole = json.loads(compose.run(*PROFILES, "config", "--format", "json", **chosen))["services"]
    assert set(whole) == SERVICES | {"prometheus", "grafana"}
    assert {service["image"] for service in whole.values()} == set(chosen.values())
    mounts = {
        (name, Path(volume["source"]).relative_to(ROOT).as_posix(), volume["target"], volume.get("read_only"))
        for name in ("prometheus", "grafana")
        for volume in whole[name]["volumes"]
        if volume["type"] == "bind"
    }
    assert mounts == {
        ("prometheus", "docker/prometheus", "/etc/prometheus", True),
        ("grafana", "docker/grafana/provisioning", "/etc/grafana/provisioning", True),
        ("grafana", "docker/grafana/dashboards", "/etc/grafana/dashboards", True),
    }
    for name, service in whole.items():
        assert service["read_only"], name
        assert service["healthcheck"]["test"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name
