"""Redis tells of arrivals in the queue of triggers; without it nobody does, and looking often does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from config.embedded import EmbeddedRedis
from tasks.arrivals import Arrivals
from tests.waiting import until

QUEUE = "celery"


@contextmanager
def _listening(url: str, tell: Callable[[], object]) -> Iterator[Arrivals]:
    arrivals = Arrivals(Redis.from_url(url, protocol=3, decode_responses=True, socket_timeout=5), QUEUE, tell)
    arrivals.start()
    try:
        yield arrivals
    finally:
        arrivals.stop()
        arrivals.join(10)
        assert not arrivals.is_alive()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.arrivals._AGAIN", 0.5)


def test_each_arrival_is_told_and_nothing_else(tmp_path: Path) -> None:
    """What lies there already, what comes later, and what comes after the server was away."""
    told = threading.Semaphore(0)
    with EmbeddedRedis(tmp_path, appendfsync="always") as server, Redis.from_url(server.url) as client:
        client.lpush(QUEUE, "before")
        with _listening(server.url, told.release) as arrivals:
            assert told.acquire(timeout=10)
            client.rpop(QUEUE)
            until(lambda: not told.acquire(blocking=False), "the end of what was told of it")
            for number in range(3):
                client.lpush(QUEUE, number)
                assert told.acquire(timeout=10), number
                client.rpop(QUEUE)
            server.kill()
            until(lambda: not arrivals.listening, "to notice")
            server.start()
            until(lambda: arrivals.listening, "to listen again")
            while told.acquire(blocking=False):
                pass
            client.lpush("another", "one")
            assert not told.acquire(timeout=1.2)  # two looks at the connection, which tell nobody
            client.lpush(QUEUE, "after")
            assert told.acquire(timeout=10)


def test_where_it_is_not_allowed_nobody_listens(tmp_path: Path) -> None:
    """An older list of what the user may do: the intake goes on looking often."""
    with EmbeddedRedis(tmp_path) as server, Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "old", "on", ">word", "~*", "+@all", "-client|tracking")
        url = f"redis://old:word@127.0.0.1:{server.port}/0"
        with _listening(url, lambda: pytest.fail("told")) as arrivals:
            denied = lambda: [entry for entry in client.acl_log() if entry["object"] == "client|tracking"]  # noqa: E731
            until(denied, "the refusal")
            assert not arrivals.listening
