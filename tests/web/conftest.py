"""Flower with the Jobs page as `settle flower` runs it, over a real Redis-protocol server with jobs in its ledger."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import redis

from config.embedded import EmbeddedRedis, free_port
from jobs.artifacts import Artifact, Verification
from jobs.ledger import Ledger
from jobs.record import Failure, Job
from jobs.states import JobState
from tests.waiting import PATIENCE
from workflows.command.stack import Process, running

from .description import check

USER, PASSWORD = "operator", "an-invented-password"
SECRET = "body-that-nobody-may-see"
CHANGES = {"X-Requested-With": "tests"}


@dataclass
class Site:
    """A running Flower.

    Args:
        url: where it is.
        redis: of its ledger.
        ledger: the same.
        log: what the process has said.
    """

    url: str
    redis: redis.Redis
    ledger: Ledger
    log: list[str]

    def client(self, *, login: bool = True, **options: Any) -> httpx.Client:
        """A client with or without a login; every answer of the API is held against its description."""
        hooks = {"response": [check]}
        auth = (USER, PASSWORD) if login else None
        return httpx.Client(base_url=self.url, auth=auth, timeout=PATIENCE, event_hooks=hooks, **options)

    def job(self, job_id: str, state: JobState = JobState.POLLING, **changes: Any) -> Job:
        """Put a job into the ledger, in a state, an hour away from its next look."""
        now = self.ledger.now()
        job = Job(
            id=job_id,
            provider="myipr",
            workflow="myipr.certify",
            state=state,
            created_at=now,
            updated_at=now,
            deadline_at=now + 7200,
            due_at=None if state in (JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED) else now + 3600,
            digest="d" * 64,
            request={"name": SECRET},
            intent={"job": job_id},
        )
        self.ledger.accept(replace(job, **changes))
        return self.ledger.get(job_id)

    def gallery(self) -> dict[str, Job]:
        """A job in every situation that the page has something to say about."""
        file = Artifact("certificate.pdf", size=7, sha256="ab" * 32, uri="file:///certificate.pdf", stored_size=7,
                        stored_sha256="cd" * 32, verification=Verification.PENDING)  # fmt: skip
        mismatch = Failure("digest_mismatch", "certificate.pdf: expected SHA-256 abab, found cdcd")
        receipt = {"receipt": {"remote_id": "r-17"}}
        return {
            "polling": self.job("g-polling", word="minting", progress=40, polls=3, tags={"shop": "7"}, **receipt),
            "doubt": self.job("g-doubt", JobState.IN_DOUBT, failure=Failure("lost", "the answer was lost")),
            "failed": self.job("g-failed", JobState.FAILED, failure=mismatch, artifacts=(file,), **receipt),
            "expired": self.job("g-expired", JobState.EXPIRED, **receipt),
            "done": self.job("g-done", JobState.SUCCEEDED, result={"version_id": "v-1", "none": None}, **receipt),
        }


def environment(server: EmbeddedRedis, port: int) -> dict[str, str]:
    """The environment of `settle flower`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETTLE_", "FLOWER_"))}
    return {
        **clean,
        "SETTLE_REDIS_URL": server.url,
        "SETTLE_FLOWER__USER": USER,
        "SETTLE_FLOWER__PASSWORD": PASSWORD,
        "SETTLE_FLOWER__PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }


def started(server: EmbeddedRedis, exits: ExitStack, **settings: str) -> Site:
    """Start Flower and wait until it serves."""
    port, log = free_port(), list[str]()
    command = [sys.executable, "-m", "workflows.command", "flower"]
    process = Process("flower", command, {**environment(server, port), **settings}, lambda _, line: log.append(line))
    exits.enter_context(running(process)).wait_for("Visit me at")
    client = exits.enter_context(closing(redis.Redis.from_url(server.url, decode_responses=True)))
    return Site(f"http://127.0.0.1:{port}", client, Ledger(client), log)


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Flower for a module, with a Redis of its own."""
    with ExitStack() as exits:
        server = exits.enter_context(EmbeddedRedis(tmp_path_factory.mktemp("redis")))
        yield started(server, exits)


@pytest.fixture
def site(flower: Site) -> Site:
    """The same Flower, with an empty ledger."""
    for key in flower.redis.scan_iter("settle:*"):
        if not key.endswith(":events"):  # whose places the running process knows
            flower.redis.delete(key)
    return flower


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    """A client with a login."""
    with site.client() as found:
        yield found


@dataclass
class Told:
    """One server-sent event."""

    id: str
    event: str
    data: Any


def events(response: httpx.Response) -> Iterator[Told]:
    """The events of a stream; those without data are left out."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
            continue
        if "data" in fields:
            yield Told(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
        fields = {}
