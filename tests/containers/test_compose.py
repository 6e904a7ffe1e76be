"""The compose file, brought up as a person would: healthy, scaled, closed to strangers, with jobs that end."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from celery import Celery
from standardwebhooks import Webhook

from simulator import samples
from simulator.control import ControlClient
from tests import waiting

from .compose import PROFILES, ROOT, Compose

# One project for all of them, and so one process of the tests (tests/groups.py).
pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

ALWAYS = {"redis", "poll-worker", "file-worker", "flower", "webhooks"}
#: All that runs here. Grafana does not: no registry that this lane can count on has its server.
RUNNING = ALWAYS | {"simulator", "beat", "prometheus"}

#: Beat takes up to a minute, and Prometheus its intervals, seconds.
until = partial(waiting.until, patience=100.0)

#: What a person who wants to be told of events writes into docker-compose.override.yml; and who is told, here.
OVERRIDE = """
services:
  webhooks:
    environment:
      SETTLE_WEBHOOKS__SHOP__URL: http://receiver:8090/in
      SETTLE_WEBHOOKS__SHOP__ALLOW_HTTP: "true"
      SETTLE_WEBHOOKS__SHOP__ALLOW_PRIVATE: "true"
    secrets:
      - source: redis_password
        target: settle_redis_password
      - source: shop_secret
        target: settle_webhooks__shop__secrets
  receiver:
    image: {image}
    command: python /receiver.py
    stop_signal: SIGKILL
    volumes:
      - {program}:/receiver.py:ro
secrets:
  shop_secret: {{file: "{secret}"}}
"""

SCHEDULES = """
[minutely]
workflow = "lettrlabs.convert"
crontab = "* * * * *"
[minutely.kwargs]
conversions = [{ orderId = { "$tick" = "tick-%H%M" }, primaryEmail = "ines@example.org", revenue = 12.5 }]
"""


@contextmanager
def project(folder: Path) -> Iterator[Compose]:
    """A project that is taken down at the end."""
    made = Compose(folder)
    try:
        yield made
    finally:
        made.down()


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    """One of its own, not up."""
    with project(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient) -> Iterator[Compose]:
    """All of it, up and healthy, for the tests of this module; in the end nothing is left behind."""
    folder = tmp_path_factory.mktemp("compose")
    with project(folder) as made:
        secret = made.folder / "shop_secret"
        secret.write_text(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
        schedules, override = folder / "schedules.toml", folder / "override.yml"
        schedules.write_text(SCHEDULES)
        image, program = os.environ.get("APP_IMAGE", "settle:local"), Path(__file__).with_name("receiver.py")
        override.write_text(OVERRIDE.format(image=image, program=program, secret=secret))
        made.override(override, SCHEDULES_FILE=str(schedules))
        made.up(*RUNNING, "receiver")
        yield made
    engine = docker_client
    left = [engine.containers.list(all=True, filters=made.mine), engine.networks.list(filters=made.mine)]
    assert [*left, engine.volumes.list(filters=made.mine)] == [[], [], []]


@pytest.fixture(scope="module")
def control(house: Compose) -> Iterator[ControlClient]:
    """Control of the simulator."""
    with ControlClient(f"http://{house.address('simulator', 8080)}") as client:
        yield client


@pytest.fixture(scope="module")
def caller(house: Compose) -> Iterator[Celery]:
    """Another application on this machine."""
    redis = f"redis://:{house.secrets()['redis_password']}@{house.address('redis', 6379)}/0"
    with Celery("caller", broker=redis, backend=redis, set_as_current=False) as app:
        yield app


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


def test_all_is_healthy_and_closed_to_strangers(house: Compose, docker_client: docker.DockerClient) -> None:
    """Every service of every profile but Grafana: health, ports, rights, secrets, the login of Flower."""
    states = [state for state in house.states() if state["Service"] != "receiver"]
    assert {(state["Service"], state["Health"]) for state in states} == {(name, "healthy") for name in RUNNING}
    published = [port for state in states for port in state["Publishers"] or () if port["PublishedPort"]]
    assert {port["URL"] for port in published} == {"127.0.0.1"}
    containers = docker_client.containers.list(filters=house.mine)
    ours = [each for each in containers if each.labels["com.docker.compose.service"] != "receiver"]
    hardened(ours)
    known = house.secrets()
    no_secrets(ours, set(known.values()))
    flower, login = f"http://{house.address('flower', 5555)}", ("settle", known["flower_password"])
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=("settle", "wrong")).status_code == 401
    assert httpx.get(f"{flower}/workers", auth=login).status_code == 200


def test_a_job_ends_and_a_webhook_tells(
    house: Compose, control: ControlClient, caller: Celery, docker_client: docker.DockerClient
) -> None:
    """Both workers have a part in it, the file is on the volume that they share, and the event is signed."""
    outcome = produce(caller, control, "compose-1")
    name = outcome["artifacts"][0]["uri"].removeprefix("file://")
    digest = house.run("exec", "--no-TTY", "poll-worker", "sha256sum", name).split()[0]
    assert digest == outcome["artifacts"][0]["sha256"]

    receiver = docker_client.containers.get(f"{house.project}-receiver-1")

    def told() -> dict[str, Any] | None:
        lines = receiver.logs().splitlines()
        return next((got for got in map(json.loads, lines) if '"compose-1"' in got["body"]), None)

    got = until(told, "the webhook")
    event = Webhook(house.secrets()["shop_secret"]).verify(got["body"], got["headers"])
    assert (event["data"]["job_id"], event["data"]["target"]) == ("compose-1", "succeeded")


def test_more_workers_are_one_argument(house: Compose, control: ControlClient, caller: Celery) -> None:
    """Four of them, healthy and in the service of whoever sends."""
    states = house.up("--scale", "poll-worker=4", *RUNNING)
    assert [state["Health"] for state in states if state["Service"] == "poll-worker"] == ["healthy"] * 4
    assert len(caller.control.ping(timeout=3)) == 5
    produce(caller, control, "compose-2")


def test_beat_starts_a_job_each_minute(house: Compose, control: ControlClient) -> None:
    """Beat has read the file, and a tick has become a job that the provider has by now."""
    told = json.loads(house.run("exec", "--no-TTY", "beat", "settle", "schedules", "--json"))
    assert (told["name"], told["workflow"]) == ("minutely", "lettrlabs.convert")
    ticks = until(
        lambda: {name: job for name, job in control.account()["lettrlabs"].jobs.items() if name.startswith("tick-")},
        "the job of a minute",
    )
    assert {job.submits for job in ticks.values()} == {1}


def test_prometheus_scrapes_every_process(house: Compose) -> None:
    """With the configuration that is shipped: workers by their names, Flower, and the rules of the alerts."""
    url = f"http://{house.address('prometheus', 9090)}/api/v1"

    def targets() -> list[dict[str, Any]] | None:
        found = httpx.get(f"{url}/targets").json()["data"]["activeTargets"]
        workers = sum(target["labels"]["job"] == "settle-poll-worker" for target in found)
        running = sum(state["Service"] == "poll-worker" for state in house.states())
        up = all(target["health"] == "up" for target in found)
        return found if up and workers == running and len(found) == workers + 2 else None

    scraped = {target["labels"]["job"] for target in until(targets, "all targets up")}
    assert scraped == {"settle-poll-worker", "settle-file-worker", "settle-flower"}
    told = httpx.get(f"{url}/query", params={"query": "min(settle_ledger_up)"}).json()["data"]["result"]
    assert told[0]["value"][1] == "1"
    rules = httpx.get(f"{url}/rules").json()["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}  # unknown: not evaluated yet
    assert "SettleWorkersGone" in {rule["name"] for rule in rules}


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
    assert set(compose.run("config", "--services").split()) == ALWAYS
    images = {"APP_IMAGE", "REDIS_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
    chosen = {name: f"registry.example/{name.lower()}:1" for name in images}
    whole = json.loads(compose.run(*PROFILES, "config", "--format", "json", **chosen))["services"]
    assert set(whole) == RUNNING | {"grafana"}
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
