"""The ledger's clock is the Redis server's: no machine's wrong clock, lost connection or late answer moves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from config.embedded import EmbeddedRedis
from config.runtime import Runtime
from config.settings import made_of
from jobs.clock import ServerClock


class Server:
    """A server that tells another time than this machine, as late as it is told to."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.late = 0.0
        self.asked = 0
        self.away = False

    def time(self) -> tuple[int, int]:
        self.asked += 1
        if self.away:
            raise redis.ConnectionError("away")
        now = time.time() + self.ahead
        time.sleep(self.late)  # the answer is on its way for so long
        return int(now), int(now % 1 * 1e6)


def _clock(server: Server, refresh: float = 10.0) -> ServerClock:
    return ServerClock(server, refresh=refresh)  # type: ignore[arg-type]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_is_the_servers_time_not_the_machines(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock is an hour ahead: nobody sees it."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 3600)
    assert ServerClock(redis_client).now() == pytest.approx(right(), abs=1)


def test_workers_take_it_by_default(redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages and ledger share it."""
    run = Runtime(made_of(redis_url=redis_server.url))
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - 3600)
    assert run.clock.now() == pytest.approx(right(), abs=1)
    assert run.ledger.now() == pytest.approx(right(), abs=1)


def test_it_goes_on_without_the_server(tmp_path: Path) -> None:
    """Known once, the time is known while Redis is away, and nobody waits for an answer."""
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        clock = ServerClock(client, refresh=0.0)
        first = clock.now()
        server.kill()
        began = time.monotonic()
        later = [clock.now() for _ in range(100)]
        assert later == sorted(later)
        assert later[-1] - first == pytest.approx(time.monotonic() - began, abs=1)


def test_a_server_that_never_answered_is_an_error() -> None:
    """A guess would be the machine's own clock."""
    server = Server(0)
    server.away = True
    with pytest.raises(redis.ConnectionError):
        _clock(server).now()


def test_it_follows_the_server() -> None:
    """The server's clock was set: all workers follow within a refresh, by themselves."""
    server = Server(ahead=100)
    clock = _clock(server, refresh=0.01)
    assert clock.now() - time.time() == pytest.approx(100, abs=1)
    server.ahead = 500
    _until(lambda: abs(clock.now() - time.time() - 500) < 1)


def test_it_asks_only_now_and_then() -> None:
    """Not at every look."""
    server = Server(0)
    clock = _clock(server)
    for _ in range(1000):
        clock.now()
    assert server.asked == 1


def test_a_late_answer_does_not_spoil_an_exact_one() -> None:
    """An answer that was under way for long says little: the exact one stands."""
    server = Server(ahead=100)
    clock = _clock(server, refresh=0.01)
    clock.now()
    server.late = 0.5
    asked = server.asked
    _until(lambda: clock.now() > 0 and server.asked >= asked + 3)
    assert clock.now() - time.time() == pytest.approx(100, abs=0.1)


def test_it_asks_again_after_a_failure() -> None:
    """A server that was away for a while is asked again."""
    server = Server(ahead=100)
    clock = _clock(server, refresh=0.01)
    clock.now()
    server.away = True
    asked = server.asked
    _until(lambda: clock.now() > 0 and server.asked >= asked + 2)
    server.away, server.ahead = False, 200
    _until(lambda: abs(clock.now() - time.time() - 200) < 1)
