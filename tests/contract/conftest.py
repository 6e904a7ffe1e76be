"""One simulator for the whole run, whose clock stands still until a test moves it; forgotten between tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config.embedded import EmbeddedRedis
from providers.unique_tokens import sessions
from simulator import ManualClock, Running, running

from .bench import Bench
from .desk import Desk
from .token_lines import House


@pytest.fixture(scope="session", autouse=True)
def _ledger_of_the_clients(redis_server: EmbeddedRedis) -> None:
    """Each client that a test makes has a ledger of its own there."""


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Each client reads the bundle of certificate authorities, which takes longer than most of these tests."""
    context = httpx.create_ssl_context(trust_env=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", lambda **_: context)
        yield


@pytest.fixture(scope="session")
def _simulated() -> Iterator[tuple[Running, ManualClock]]:
    clock = ManualClock(time.time())
    with running(now=clock, seed=11) as simulator:
        yield simulator, clock


@pytest.fixture
def sim(_simulated: tuple[Running, ManualClock]) -> Iterator[Running]:
    """The simulator without jobs, faults and changed switches."""
    simulator, _ = _simulated
    simulator.reset()
    yield simulator
    simulator.reset()


@pytest.fixture
def clock(_simulated: tuple[Running, ManualClock]) -> ManualClock:
    """The simulator's clock, set to the real time."""
    _, clock = _simulated
    clock.advance(time.time() - clock())
    return clock


@pytest.fixture
def bench(sim: Running, clock: ManualClock) -> Bench:
    """Builds clients of the simulator and takes jobs through them."""
    return Bench(sim, clock)


@pytest.fixture
def desk(bench: Bench, tmp_path: Path) -> Desk:
    """Everything that signing needs, pointed at the simulator."""
    return Desk(bench, tmp_path)


@pytest.fixture
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note about the session is read before each call, as it is when calls are more than a second apart."""
    monkeypatch.setattr(sessions, "_FRESH", 0.0)


@pytest.fixture
def house(bench: Bench, tmp_path: Path) -> House:
    """Jobs with stored files."""
    return House(bench, tmp_path)
