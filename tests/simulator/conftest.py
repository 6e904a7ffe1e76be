"""A simulator whose clock stands still until a test moves it, and one client per API."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from simulator import ManualClock, Running, running, samples


@pytest.fixture
def clock() -> ManualClock:
    """The wall clock of the simulator."""
    return ManualClock()


@pytest.fixture
def sim(clock: ManualClock) -> Iterator[Running]:
    """A running simulator."""
    with running(now=clock, seed=7) as simulator:
        yield simulator


@pytest.fixture
def cdb(sim: Running) -> Iterator[httpx.Client]:
    """A client of the simulated CommonsDB API."""
    headers = {"Authorization": f"Bearer {sim.keys['commonsdb']}"}
    with httpx.Client(base_url=sim.base_urls["commonsdb"], headers=headers) as client:
        yield client


@pytest.fixture
def declare(cdb: httpx.Client, clock: ManualClock) -> Callable[..., httpx.Response]:
    """Declares a sample work under the name given, now."""

    def send(name: str = "Harbour", **options: object) -> httpx.Response:
        body = samples.declaration(name=name, now_ms=round(clock() * 1000), **options)  # type: ignore[arg-type]
        return cdb.post("/v1/declare", json=body)

    return send


@pytest.fixture
def ipr(sim: Running) -> Iterator[httpx.Client]:
    """A client of the simulated myIPR API."""
    headers = {"Authorization": f"SECRET {sim.keys['myipr']}"}
    with httpx.Client(base_url=sim.base_urls["myipr"], headers=headers) as client:
        yield client


@pytest.fixture
def tok(sim: Running) -> Iterator[httpx.Client]:
    """A client of the simulated Unique Tokens API in an open session."""
    with httpx.Client(base_url=sim.base_urls["unique_tokens"]) as client:
        answer = client.post(
            "/api/sessions",
            json={"data": {"type": "session", "attributes": {"note": "nightly"}}},
            headers={"Api-Key": sim.keys["unique_tokens"]},
        )
        client.headers["Session-Key"] = answer.json()["data"]["id"]
        yield client


@pytest.fixture
def lettr(sim: Running) -> Iterator[httpx.Client]:
    """A client of the simulated LettrLabs API."""
    headers = {"X-API-KEY": sim.keys["lettrlabs"]}
    with httpx.Client(base_url=sim.base_urls["lettrlabs"], headers=headers) as client:
        yield client
