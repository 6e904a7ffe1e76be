"""What every lane of the tests shares: a clean environment, and a real Redis-protocol server of our own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config.embedded import EmbeddedRedis
from tests import ledgers
from tests.groups import Groups

# A shell that runs the tests in the background has them ignore Ctrl-C, and all that they start would do so, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The acceptance tests that are marked `every_broker` run on the broker that is asked for."""
    told = "redis (default), sentinel, or the address of a RabbitMQ, with {worker} for the name of the test process"
    parser.addoption("--broker", default="redis", help=told)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups | None:
    """Groups that are groups."""
    return Groups(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("SETTLE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A private server with its append-only file, for the whole run."""
    with EmbeddedRedis(Path(tmp_path_factory.mktemp("redis"))) as server:
        ledgers.connect(server.url)
        yield server
        ledgers.disconnect()


@pytest.fixture
def redis_client(redis_server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client of an empty database."""
    client = redis.Redis.from_url(redis_server.url, decode_responses=True)
    client.flushall()
    yield client
    client.close()
