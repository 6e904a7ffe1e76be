"""Empty ledgers for tests, all on the one embedded server of this test process (the fixture `redis_server`)."""

from __future__ import annotations

import itertools
from typing import Any

import redis

from jobs.clock import Clock
from jobs.ledger import Ledger
from jobs.record import Job

_numbers = itertools.count()
_clients: list[redis.Redis] = []


def connect(url: str) -> None:
    """Point `fresh_ledger` at a server; `redis_server` does it."""
    _clients.append(redis.Redis.from_url(url, decode_responses=True))


def disconnect() -> None:
    """Close the connections before the server stops."""
    _clients.pop().close()


def client() -> redis.Redis:
    """The client of all these ledgers."""
    assert _clients, "ask for the fixture redis_server"
    return _clients[-1]


def new_prefix() -> str:
    """A prefix under which no key lies yet."""
    return f"t{next(_numbers)}:"


def fresh_ledger(clock: Clock | None = None, **options: Any) -> Ledger:
    """A ledger without jobs."""
    return Ledger(client(), clock=clock, prefix=new_prefix(), **options)


def expire(ledger: Ledger, job: Job) -> None:
    """Forget a record now: the server does it by its own clock, for which no test waits."""
    assert client().pexpire(ledger._key(job.provider, "job", job.id), 0) == 1
    client().pexpire(ledger._owner(job.id), 0)
