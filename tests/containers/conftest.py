"""Real containers: `make test-containers`. Other runs leave this folder out; in this one nothing is skipped.

Images, by environment variable: APP_IMAGE (settle:local), OTEL_IMAGE (settle-test-otel:local, the same with traces),
REDIS_IMAGE (redis:8), RABBITMQ_IMAGE (rabbitmq:4) and PROMETHEUS_IMAGE (that of docker-compose.yml).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_docker_tools.wrappers.container
from docker.errors import ImageNotFound
from docker.models.containers import Container
from docker.models.networks import Network
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryWorkerContainer,
    RabbitMQContainer,
    RedisContainer,
    RedisTestBackend,
)
from pytest_docker_tools import container, fxtr, wrappers

from simulator import DEFAULT_KEYS
from simulator.control import ControlClient

APP_IMAGE = os.environ.get("APP_IMAGE", "settle:local")
OTEL_IMAGE = os.environ.get("OTEL_IMAGE", "settle-test-otel:local")
REDIS_IMAGE = os.environ.get("REDIS_IMAGE", "redis:8")
RABBITMQ_IMAGE = os.environ.get("RABBITMQ_IMAGE", "rabbitmq:4")

ROOT = Path(__file__).parents[2]

#: On loopback, and whichever port is free.
_LOOPBACK = ("127.0.0.1", None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests need the plugin that the other lanes switch off."""
    return None if config.pluginmanager.has_plugin("pytest_celery.plugin") else True


@pytest.fixture(scope="session", autouse=True)
def docker_client() -> Iterator[docker.DockerClient]:
    """The engine. Without one, or without the image, every test fails."""
    engine = subprocess.run(["docker", "info"], capture_output=True, text=True)
    if engine.returncode:
        pytest.fail(f"no Docker engine answers: start one, or set DOCKER_HOST\n{engine.stderr}", pytrace=False)
    client = docker.from_env()
    try:
        client.images.get(APP_IMAGE)
    except ImageNotFound:
        pytest.fail(f"there is no image {APP_IMAGE}: `make test-containers` builds it", pytrace=False)
    else:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="session", autouse=True)
def _published_ports() -> Iterator[None]:
    """The tests reach containers by their published ports, even where a stray /.dockerenv tells otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest_docker_tools.wrappers.container, "tests_inside_container", lambda: False)
        yield


# Redis is the backend, and, as another server, one of the brokers.


class Redis(RedisContainer):
    """Redis as the compose file has it: nothing is evicted, an append-only file."""

    @classmethod
    def command(cls, *args: str, **_: Any) -> list[str]:
        """As pytest-celery has it, but with the append-only file."""
        return super().command("--appendonly", "yes", "--dir", "/data", *args)


def _redis() -> Any:
    # In memory: the public image declares /data a volume, which would be left behind otherwise.
    return container(
        image=REDIS_IMAGE,
        command=Redis.command(),
        ports={"6379/tcp": _LOOPBACK},
        network="{default_pytest_celery_network.name}",
        tmpfs={"/data": "mode=1777"},
        user="root",  # who may write there; the public image steps down by itself
        wrapper_class=Redis,
        timeout=60,
    )


default_redis_broker = _redis()
default_redis_backend = _redis()


# RabbitMQ with the one setting that Settle asks for.
default_rabbitmq_broker = container(
    image=RABBITMQ_IMAGE,
    ports={"5672/tcp": _LOOPBACK},
    volumes={str(ROOT / "docker" / "rabbitmq.conf"): {"bind": "/etc/rabbitmq/conf.d/20-settle.conf", "mode": "ro"}},
    network="{default_pytest_celery_network.name}",
    wrapper_class=RabbitMQContainer,
    timeout=60,
)


@pytest.fixture(params=["redis", "rabbitmq"])
def celery_broker_cluster(request: pytest.FixtureRequest) -> Iterator[CeleryBrokerCluster]:
    """Each test runs on both brokers; Redis is the ledger in either case."""
    cluster = CeleryBrokerCluster(request.getfixturevalue(f"celery_{request.param}_broker"))
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(celery_redis_backend: RedisTestBackend) -> Iterator[CeleryBackendCluster]:
    """Redis only."""
    cluster = CeleryBackendCluster(celery_redis_backend)
    yield cluster
    cluster.teardown()


# The simulated APIs, in a container of the same network.


class Simulator(wrappers.Container):
    """The simulator in a container."""

    @property
    def inside(self) -> str:
        """Its address for other containers."""
        return f"http://{self.attrs['Config']['Hostname']}:8080"

    @property
    def outside(self) -> str:
        """Its address for the tests."""
        host, port = self.get_addr("8080/tcp")
        return f"http://{host}:{port}"


simulator = container(
    image=APP_IMAGE,
    command=["settle", "simulate", "--host", "0.0.0.0", "--port", "8080", "--speed", "20"],  # noqa: S104
    ports={"8080/tcp": _LOOPBACK},
    network="{default_pytest_celery_network.name}",
    wrapper_class=Simulator,
    timeout=60,
)


@pytest.fixture
def control(simulator: Simulator) -> Iterator[ControlClient]:
    """Control of the simulator, and its account of what it was asked."""
    with ControlClient(simulator.outside) as client:
        yield client


# The worker: our image, our application, its own settings.


WORKER_MEMORY = "400m"


class Worker(CeleryWorkerContainer):
    """A worker of every queue, with the clock."""

    @classmethod
    def command(cls, *args: str, **_: Any) -> list[str]:
        """The application, from the image's own code."""
        queues = "celery,settle.submit,settle.poll,settle.files"
        return ["celery", "-A", "config.celery_app", "worker", "-n", f"{cls.worker_name()}@%h", "-Q", queues, "-c", "2"]

    @classmethod
    def worker_name(cls) -> str:
        """Before the @ of its name."""
        return "settle"


@pytest.fixture
def default_worker_container_cls() -> type[CeleryWorkerContainer]:
    """Ours."""
    return Worker


def pointed_at(simulator: Simulator) -> dict[str, str]:
    """Settings that point every provider at the simulator, with times that suit a test."""
    environment = {"SETTLE_LEASE": "6"}
    paths = {"commonsdb": "/commonsdb", "myipr": "/myipr", "unique_tokens": "", "lettrlabs": "/lettrlabs/api"}
    for name, key in DEFAULT_KEYS.items():
        prefix = f"SETTLE_{name.upper()}__"
        environment |= {
            f"{prefix}BASE_URL": simulator.inside + paths[name],
            f"{prefix}API_KEY": key,
            f"{prefix}CONNECT_TIMEOUT": "2",
            f"{prefix}READ_TIMEOUT": "3",
            f"{prefix}POLL_FIRST": "0.3",
            f"{prefix}POLL_MINIMUM": "0.3",
            f"{prefix}POLL_MAXIMUM": "1",
        }
    return environment


@pytest.fixture
def default_worker_env(celery_worker_cluster_config: dict[str, Any], simulator: Simulator) -> dict[str, str]:
    """Settings: the two servers, the simulator, and times that suit a test."""
    return {
        "SETTLE_BROKER_URL": celery_worker_cluster_config["celery_broker_cluster_config"]["urls"][0],
        "SETTLE_REDIS_URL": celery_worker_cluster_config["celery_backend_cluster_config"]["urls"][0],
        **pointed_at(simulator),
    }


default_worker_container = container(
    image=APP_IMAGE,
    command=fxtr("default_worker_command"),
    environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=Worker,
    mem_limit=WORKER_MEMORY,
    memswap_limit=WORKER_MEMORY,
    timeout=60,
)


# Anything else.


Start = Callable[..., Container]


@pytest.fixture
def start(docker_client: docker.DockerClient, default_pytest_celery_network: Network) -> Iterator[Start]:
    """Starts a container under names that the others know."""
    with ExitStack() as exits:

        def run(
            image: str, name: str, command: list[str] | None = None, *, aliases: tuple[str, ...] = (), **options: Any
        ) -> Container:
            started = docker_client.containers.create(image, command, hostname=name, **options)
            exits.callback(started.remove, force=True, v=True)
            default_pytest_celery_network.connect(started, aliases=[name, *aliases])
            started.start()
            return started

        yield run
