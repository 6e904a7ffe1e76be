"""Where one may look after a whole run: Flower, events, remote control, the command, Redis itself, processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import redis
from celery import Celery

from tests.forked import python
from workflows.command.stack import WORKERS

from .scenes import FLOWER_PASSWORD


@dataclass
class Seen:
    """All that anybody could look at, by the name of the place."""

    places: dict[str, list[bytes | str]] = field(default_factory=dict)

    def add(self, place: str, *texts: bytes | str) -> None:
        """What stood there."""
        self.places.setdefault(place, []).extend(texts)


def _raw(value: Any) -> bytes:
    """Whatever Redis holds under a key, one piece a line."""
    if isinstance(value, dict):
        return b"\n".join(_raw(name) + b" " + _raw(part) for name, part in value.items())
    if isinstance(value, list | tuple | set):
        return b"\n".join(map(_raw, value))
    return value if isinstance(value, bytes) else str(value).encode()


def dump(admin: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Every field of every hash, and every other key."""
    read: dict[bytes, Any] = {
        b"string": admin.get,
        b"stream": admin.xrange,
        b"list": lambda key: admin.lrange(key, 0, -1),
        b"set": admin.smembers,
        b"zset": lambda key: admin.zrange(key, 0, -1),
    }
    for key in admin.scan_iter(b"*", count=1000):
        name = key.decode("utf-8", "replace")
        kind = admin.type(key)
        if kind == b"hash":
            for part, value in admin.hgetall(key).items():
                yield f"{name} {part.decode('utf-8', 'replace')}", _raw(part) + b" " + _raw(value)
        else:
            yield name, _raw(read[kind](key))


def commands(environment: Mapping[str, str], ids: list[str]) -> Iterator[tuple[str, str]]:
    asked = [
        ["list"], ["list", "--json", "--limit", "500"], ["doctor"], ["doctor", "--json"], ["status", "never-was"],
        ["events"], ["events", "--json"], ["events", "--group", "tests"], ["events", ids[0]],
        ["webhooks", "list"], ["webhooks", "dead"], ["webhooks", "dead", "--json"], ["webhooks", "test", "shop"],
        *[["status", job_id, "--json"] for job_id in ids], ["status", ids[0]],
    ]  # fmt: skip
    for arguments in asked:
        done = python("-m", "workflows.command", *arguments, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        yield f"settle {arguments[0]}", done.stdout + done.stderr


class Flower:
    """Flower's pages and its API, every address that can be read.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", auth=("settle", FLOWER_PASSWORD), timeout=20, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def addresses(self) -> Iterator[str]:
        """Every address that answers to GET, made of Flower's own table of routes."""
        from flower.urls import handlers

        workers = list(self._client.get("/api/workers", params={"refresh": "1"}).json())
        tasks = list(self._client.get("/api/tasks", params={"limit": 1000}).json())
        assert workers
        assert tasks
        filled = {"worker/": workers, "task/": tasks, "api/task/info/": tasks, "api/task/result/": tasks}
        for handler in handlers:
            pattern = handler.regex.pattern.strip("^$") if hasattr(handler, "regex") else handler[0]
            path = pattern.replace("/?", "")
            if "(" not in path and path not in (".*", "/tasks/datatable"):
                yield path
            elif (known := filled.get(path.partition("(")[0].lstrip("/"))) is not None:
                yield from (path.partition("(")[0] + each for each in known)
        columns = "".join(f"&columns[{i}][data]={name}" for i, name in enumerate(("name", "uuid", "state", "args")))
        order = "&search[value]=&order[0][column]=0&order[0][dir]=asc"
        yield f"/tasks/datatable?draw=1&start=0&length=1000{order}{columns}"
        yield "/api/workers?refresh=1"
        yield "/api/tasks?limit=1000"
        yield from self._jobs()

    def _jobs(self) -> Iterator[str]:
        """The addresses of the Jobs page and its API, but for the endless stream."""
        from workflows.web.routes import API, PAGES

        jobs = [job["job_id"] for job in self._client.get("/api/jobs", params={"limit": 1000}).json()["jobs"]]
        assert jobs
        for route in (*PAGES, *API):
            if "{id}" in route.path:
                yield from (route.path.replace("{id}", quote(job, safe="")) for job in jobs)
            elif route.path in ("/job", "/job/parts"):
                yield from (f"{route.path}?id={quote(job, safe='')}" for job in jobs)
            elif "{" not in route.path and "(" not in route.path and route.path != "/api/events":
                yield route.path

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """What each shows."""
        for address in self.addresses():
            answer = self._client.get(address)
            assert answer.status_code in (200, 302, 404, 405), f"{address}: {answer.status_code}"
            yield f"Flower {address.partition('?')[0]}", answer.content


def listen(client: Celery, seen: Seen, stop: threading.Event) -> None:
    with client.connection_for_read() as connection:
        receiver = client.events.Receiver(
            connection, handlers={"*": lambda event: seen.add("events", json.dumps(event, default=str))}
        )
        while not stop.is_set():
            try:
                receiver.capture(limit=None, timeout=0.5, wakeup=True)
            except TimeoutError:
                continue


def inspected(client: Celery, workers: int = len(WORKERS)) -> Iterator[tuple[str, str]]:
    inspect = client.control.inspect(timeout=10, limit=workers)
    for name in ("active", "reserved", "scheduled", "stats", "conf", "report", "active_queues", "revoked", "settle"):
        answer = inspect._request(name, **({"with_defaults": True} if name == "conf" else {}))  # type: ignore[attr-defined]
        assert answer, name
        yield f"inspect {name}", json.dumps(answer, default=str)


def processes(pids: list[int]) -> Iterator[tuple[str, bytes]]:
    for pid in pids:
        yield "arguments of processes", Path(f"/proc/{pid}/cmdline").read_bytes()
