"""Makes of a record in Redis what a newer version may write one day."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from jobs.record import RECORD_VERSION


def make_newer(redis: Redis, provider: str, job_id: str, *, version: int = RECORD_VERSION + 1) -> None:
    """Raise the version of a record."""
    client: Any = redis
    key = f"settle:{{{provider}}}:job:{job_id}"
    doc = json.loads(client.hget(key, "doc"))
    client.hset(key, "doc", json.dumps({**doc, "v": version}))


def make_state_newer(redis: Redis, provider: str, job_id: str) -> None:
    """Have a job stand in a state that this version does not know, as a newer version's script would leave it."""
    client: Any = redis
    key, counts = f"settle:{{{provider}}}:job:{job_id}", f"settle:{{{provider}}}:counts"
    client.hincrby(counts, client.hget(key, "state"), -1)
    client.hset(key, "state", "translating")
    client.hincrby(counts, "translating", 1)
    make_newer(redis, provider, job_id)
