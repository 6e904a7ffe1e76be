"""A ledger in a real Redis whose clock stands still, jobs that move through it, and endpoints that are told of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import redis

from config.embedded import EmbeddedRedis
from config.runtime import Runtime
from config.settings import made_of
from jobs.clock import ManualClock
from jobs.record import Job
from jobs.states import TERMINAL, JobState
from workflows.deliveries import targets
from workflows.deliveries.runner import Serving
from workflows.deliveries.webhook import WebhookCarrier

from .receiver import Endpoint, listening

T = TypeVar("T")

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests: 32 bytes.").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret for 32 bytes, too").decode()

#: The way of a job to its end.
WAY = ("submitting", "polling", "succeeded")


class House:
    """A runtime with targets, and what one needs to see it work."""

    def __init__(self, url: str) -> None:
        self.url, self.clock = url, ManualClock()
        self.run = self.made()

    def made(self, **settings: Any) -> Runtime:
        """The runtime of one more process."""
        own = made_of(redis_url=self.url, **settings)
        return Runtime(own, clock=self.clock, retries=0)

    def targets(self, **settings: Any) -> None:
        """Have these settings."""
        self.run.redis.close()
        self.run = self.made(**settings)

    def job(self, job_id: str, *states: str, provider: str = "myipr", **changes: Any) -> Job:
        """A job that goes this way, a second at a time: all of its events, in one call."""
        ledger, now = self.run.ledger, self.clock.now()
        job = Job(job_id, provider, f"{provider}.do", JobState.ACCEPTED, now, now + 3600, digest="d", due_at=now)
        ledger.accept(job)
        return self.moved(job_id, *states, **changes)

    def moved(self, job_id: str, *states: str, **changes: Any) -> Job:
        """The job goes on."""
        ledger = self.run.ledger
        for state in map(JobState, states):
            self.clock.advance(1)
            now, job = self.clock.now(), ledger.get(job_id)
            (written,) = ledger.write(
                [job.to(state, due_at=None if state in TERMINAL else now + 60, now=now, **changes)]
            )
            assert written is not None
        return ledger.get(job_id)

    def serving(self, name: str, run: Runtime | None = None) -> Serving:
        """The work for one webhook, without the loop around it."""
        own = run or self.run
        return Serving(own, name, targets(own)[name], WebhookCarrier(own.settings.webhooks[name], self.clock))


def webhook(endpoint: Endpoint, **more: Any) -> dict[str, Any]:
    """The settings of an endpoint on loopback."""
    return {"url": endpoint.url, "secrets": SECRET, "allow_http": True, "allow_private": True, "timeout": 5, **more}


def together(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own."""
    return asyncio.run(work)


async def drained(serving: Serving, rounds: int = 100) -> None:
    """Look until there is nothing left to do at this time."""
    for _ in range(rounds):
        busy = await serving.look()
        await serving.landed()
        if not busy:
            return
    raise AssertionError("there is always more to do")


async def closed(*servings: Serving) -> None:
    """Close their connections."""
    for serving in servings:
        await serving._carrier.close()


@pytest.fixture
def house(redis_server: EmbeddedRedis, redis_client: redis.Redis) -> Iterator[House]:
    """An empty house."""
    house = House(redis_server.url)
    yield house
    house.run.redis.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint."""
    with listening() as made:
        yield made


@pytest.fixture
def deliver(house: House) -> Callable[..., None]:
    """Deliver to a webhook all that can be delivered now."""

    def work(name: str = "shop") -> None:
        async def all_of_it() -> None:
            serving = house.serving(name)
            await drained(serving)
            await closed(serving)

        together(all_of_it())

    return work
