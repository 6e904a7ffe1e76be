"""Lines of Unique Tokens with their stored files, for the tests of what follows an order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.artifacts import Verification
from jobs.record import Job
from jobs.states import JobState
from jobs.storage import Storage
from providers.base import Verdict
from simulator import samples

from .bench import CAPACITY, PRODUCE, Bench, Trip, Way
from .server import Seen, http

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
SESSION = "33305508-61c6-4750-a51b-dd68c80198de"
CONTINUE = Way("unique_tokens", "continue", "post_next_part", "get_milestone", samples.payment("second")["ident"])
OWN = "ACDEFGHJKLMNPQRTUVWXY3479"  # no two that look alike


def paid(name: str) -> dict[str, str]:
    """A payment of its own."""
    made = samples.payment(name)
    return {"id": made["id"], "ident": made["ident"]}


def lines_of(content: bytes) -> list[bytes]:
    """The tokens of a file."""
    return content.split(b"\n")


def known_answer(seen: Seen) -> bytes | None:
    """What opens a session and tells of alphabets; `None` to any other request."""
    if seen.path == "/api/sessions":
        return http(201, {"data": {"id": SESSION}})
    return http(200, CAPACITY) if seen.path.startswith("/api/alphabets/") else None


class House:
    """Former jobs and the files that they stored."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.storage = Storage(folder.as_uri())
        self.content: dict[str, bytes] = {}

    async def finish(self, trip: Trip, job_id: str, **changes: Any) -> Job:
        """Take a job to its end, store its files and record it."""
        last = (await trip.watch())[-1]
        assert last.verdict is Verdict.SUCCEEDED, last
        found = []
        for artifact in last.artifacts:
            self.content[f"{job_id}/{artifact.name}"] = content = (await trip.fetch(artifact))[0]
            path = self.storage.path("unique_tokens", job_id, artifact.name)
            with self.storage.writing(path, "1") as out:
                out.write(content)
            digest = hashlib.sha256(content).hexdigest()
            found.append(
                replace(
                    artifact,
                    uri=self.storage.uri(path),
                    stored_size=len(content),
                    stored_sha256=digest,
                    verification=Verification.VERIFIED,
                )
            )
        job = replace(
            trip.job,
            id=job_id,
            created_at=self.bench.clock(),
            artifacts=tuple(found),
            result=last.result,
            state=JobState.SUCCEEDED,
            **changes,
        )
        self.bench.notes.accept(job)
        return job

    def record(self, job: Job, job_id: str, **changes: Any) -> None:
        """Record another job like this one."""
        self.bench.notes.accept(replace(job, id=job_id, **changes))

    async def first(self, job_id: str = "first", *, dismantle: bool = True, **changes: Any) -> Job:
        """A first part with its snapshot."""
        body = {**self.bench.body(PRODUCE), "snapshot": True, "payment": paid(job_id), **changes}
        async with self.bench.trip(PRODUCE, body, job_id=job_id) as trip:
            await trip.submit()
            job = await self.finish(trip, job_id)
            if dismantle:
                assert await trip.operation.tidy(job) == {"dismantled": True}
        return job

    def next(self, former: str, job_id: str = "second", **changes: Any) -> AbstractAsyncContextManager[Trip]:
        """The part after it."""
        settings = changes.pop("settings", {})
        body = {"former": former, "size": 3000, "payment": paid(job_id), "seed": SEED, **changes}
        return _Next(self, body, job_id, settings)


class _Next(AbstractAsyncContextManager[Trip]):
    def __init__(self, house: House, body: Mapping[str, Any], job_id: str, settings: dict[str, Any]) -> None:
        self.house, self.body, self.job_id = house, body, job_id
        self.client = house.bench.provider("unique_tokens", **settings)

    async def __aenter__(self) -> Trip:
        provider = await self.client.__aenter__()
        provider.files = self.house.storage.chunks
        try:
            operation = provider.operation("continue")
            request = operation.request.model_validate(dict(self.body))
            way = replace(CONTINUE, reference=self.body["payment"]["ident"])
            return Trip(way, operation, request, operation.intent(request, self.job_id), self.house.bench.clock)
        except BaseException:
            await self.client.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *raised: Any) -> None:
        await self.client.__aexit__(*raised)
