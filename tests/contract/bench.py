"""The test bench: clients pointed at a server, and jobs that are taken through them step by step."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import uvloop

from jobs.artifacts import Artifact, DigestRule, Inspector
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from providers import discover
from providers.base import Located, Observation, Operation, Provider, Verdict
from providers.errors import LostAnswer
from providers.http import ProviderClient
from simulator import DEFAULT_KEYS, ManualClock, Running, samples
from tests.ledgers import fresh_ledger

T = TypeVar("T")

JOB_ID = "order-4711"
KEY = "LL-API-contract-key"


@dataclass(frozen=True)
class Way:
    """What the tests need to know of one operation.

    Args:
        provider: its provider.
        operation: its name there.
        submit: the simulator's name of the request that submits.
        status: the simulator's name of the request that observes.
        reference: what plans and faults know the job by.
        artifacts: the files of a success.
    """

    provider: str
    operation: str
    submit: str
    status: str
    reference: str
    artifacts: tuple[str, ...] = ()

    @property
    def workflow(self) -> str:
        return f"{self.provider}.{self.operation}"


DECLARE = Way("commonsdb", "declare", "declare", "status", "Harbour")
CERTIFY = Way("myipr", "certify", "create", "get_version", "Harbour", ("certificate.pdf",))
PRODUCE = Way("unique_tokens", "produce", "post_tokens", "get_milestone", samples.payment()["ident"], ("tokens.txt",))
CONVERT = Way("lettrlabs", "convert", "create_conversions", "conversion_status", "SO-1")
DELETE = Way("lettrlabs", "delete", "delete_conversion", "conversion_status", "SO-0")

#: What a scripted server says of an alphabet: room for every order.
CAPACITY = {"data": {"type": "alphabet", "attributes": {"available": "281474976710656", "reachable": "87381"}}}
WAYS = (DECLARE, CERTIFY, PRODUCE, CONVERT, DELETE)


def named(way: Way) -> str:
    """How a test shows an operation."""
    return way.workflow


def go(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's asynchronous part."""
    return uvloop.run(work)


def failing(error: Exception) -> httpx.AsyncBaseTransport:
    """A transport that raises this for every request."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(fail)


@asynccontextmanager
async def client_of(url: str, **options: Any) -> AsyncIterator[ProviderClient]:
    """A client with a key, closed in the end."""
    values = {"connect_timeout": 1.0, "read_timeout": 0.3, **options}
    made = ProviderClient(url, {"X-API-KEY": KEY, "Authorization": f"Bearer {KEY}"}, **values)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def client(
    name: str,
    base_url: str,
    *,
    notes: Ledger | None = None,
    key: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    """A provider whose API is at this address, or behind this transport; its connections are closed in the end."""
    kind = discover()[name]
    values = {"base_url": base_url, "api_key": key or DEFAULT_KEYS[name], "read_timeout": 5.0, **settings}  # type: ignore[index]
    provider = kind(kind.settings_type.model_validate(values), notes or fresh_ledger())
    provider.http.transport = transport or provider.http.transport
    try:
        yield provider
    finally:
        await provider.http.close()


def request_of(operation: Operation[Any], body: Mapping[str, Any]) -> Any:
    """The validated request."""
    return operation.request.model_validate(dict(body))


def job_of(way: Way, intent: Mapping[str, Any], receipt: Mapping[str, Any], *, job_id: str = JOB_ID) -> Job:
    """A job that was submitted."""
    return Job(
        id=job_id,
        provider=way.provider,
        workflow=way.workflow,
        state=JobState.POLLING,
        created_at=0.0,
        deadline_at=1e12,
        intent=dict(intent),
        receipt=dict(receipt),
    )


@dataclass
class Trip:
    """One job on its way through an operation."""

    way: Way
    operation: Operation[Any]
    request: Any
    intent: dict[str, Any]
    clock: ManualClock
    receipt: dict[str, Any] | None = None

    async def submit(self) -> dict[str, Any]:
        """Send the request, and keep the receipt."""
        self.receipt = await self.operation.submit(self.request, self.intent)
        return self.receipt

    async def locate(self) -> Located:
        """Ask whether the provider has the job; keep the receipt if it has."""
        located = await self.operation.locate(self.request, self.intent)
        if located.receipt is not None:
            self.receipt = dict(located.receipt)
        return located

    def forget(self) -> None:
        """Empty the books that LettrLabs' client keeps of its POSTs, and forget what it learnt from their answers."""
        if self.way is CONVERT:
            notes = self.operation.provider.notes
            notes.forget("lettrlabs", "ids", "list")
            for book in ("posts", "receipts"):
                for entry in notes.entered("lettrlabs", book, 0.0, 1e12):
                    notes.leave("lettrlabs", book, entry)

    def lose(self) -> None:
        """Let the answer to the submission be lost, where the client books that; the others only ask."""
        self.forget()
        if self.way is CONVERT:
            with suppress(LostAnswer), self.operation.provider.posts.leaving(self.intent["job"]):
                raise LostAnswer("lost")

    @property
    def job(self) -> Job:
        assert self.receipt is not None
        return job_of(self.way, self.intent, self.receipt)

    async def observe(self) -> Observation:
        """Look at the job once."""
        return await self.operation.observe(self.job)

    async def watch(self, *, step: float = 30.0, looks: int = 60) -> list[Observation]:
        """Look until the job has ended, `step` simulated seconds apart."""
        seen = []
        for _ in range(looks):
            seen.append(await self.observe())
            if seen[-1].verdict is not Verdict.RUNNING:
                return seen
            self.clock.advance(step)
        raise AssertionError(f"still running after {looks} looks: {seen[-1]}")

    async def fetch(self, artifact: Artifact) -> tuple[bytes, DigestRule | None]:
        """The bytes of a file that is what was promised, and the rule of its digest."""
        inspector, content = Inspector(artifact), bytearray()
        async with self.operation.download(self.job, artifact) as chunks:
            async for chunk in chunks:
                inspector.update(chunk)
                content += chunk
        return bytes(content), inspector.matching_rule()


@dataclass(frozen=True)
class _Told:
    """The simulator's clock, as the ledger's."""

    clock: ManualClock

    def now(self) -> float:
        return self.clock()


class Bench:
    """Builds clients of the simulator and takes jobs through them."""

    def __init__(self, sim: Running, clock: ManualClock) -> None:
        self.sim = sim
        self.clock = clock
        self.notes = fresh_ledger(_Told(self.clock))

    def body(self, way: Way) -> dict[str, Any]:
        """The keyword arguments of a valid trigger."""
        if way is DECLARE:
            return {"declaration": samples.declaration(name="Harbour", now_ms=round(self.clock() * 1000))}
        if way is CERTIFY:
            body = samples.certificate_request("Harbour")
            return {key: body[key] for key in ("name", "category_id", "hash", "size")}
        if way is PRODUCE:
            paid = samples.payment()
            return {
                "alphabet": "UPPER_HEX",
                "digits": 12,
                "size": 2000,
                "payment": {"id": paid["id"], "ident": paid["ident"]},
                "seed": "5b8df35d-391c-49d1-9a86-991e2601f3e5",
            }
        if way is CONVERT:
            return {"conversions": [samples.conversion("SO-1"), samples.conversion("SO-2", revenue=40)]}
        return {"id": self.upload("SO-0")}

    def upload(self, *orders: str) -> int:
        """An upload that is there already, made by somebody else."""
        with self._somebody() as other:
            answer = other.post("/v1/conversions", json=[samples.conversion(order) for order in orders])
            answer.raise_for_status()
        return self.uploads()[0]

    def uploads(self) -> list[int]:
        """The ids of all uploads, the newest first."""
        found: list[int] = []
        with self._somebody() as other:
            for page in itertools.count():
                entries = other.get("/v1/conversions", params={"pageNumber": page}).json()["payload"]
                found += [entry["id"] for entry in entries]
                if not entries:
                    return sorted(found, reverse=True)
        raise AssertionError("unreachable")

    def _somebody(self) -> httpx.Client:
        headers = {"X-API-KEY": self.sim.keys["lettrlabs"]}
        return httpx.Client(base_url=self.sim.base_urls["lettrlabs"], headers=headers, verify=False, trust_env=False)  # noqa: S501

    @asynccontextmanager
    async def provider(self, name: str, **settings: Any) -> AsyncIterator[Provider]:
        """A client of the simulator."""
        async with client(name, self.sim.base_urls[name], notes=self.notes, **settings) as provider:  # type: ignore[index]
            yield provider

    @asynccontextmanager
    async def trip(
        self, way: Way, body: Mapping[str, Any] | None = None, *, job_id: str = JOB_ID, **settings: Any
    ) -> AsyncIterator[Trip]:
        """A job that is about to be submitted."""
        given = self.body(way) if body is None else body
        async with self.provider(way.provider, **settings) as provider:
            operation = provider.operation(way.operation)
            request = request_of(operation, given)
            yield Trip(way, operation, request, operation.intent(request, job_id), self.clock)

    def count(self, way: Way, operation: str | None = None) -> dict[str, int]:
        """How often a request was answered, by HTTP status."""
        return self.sim.account()[way.provider].requests.get(operation or way.submit, {})

    def accepted(self, way: Way) -> int:
        """How many submissions the simulator accepted, whatever became of their answers."""
        jobs = self.sim.account()[way.provider].jobs
        return sum(job.accepted for name, job in jobs.items() if name != "SO-2")


def until(condition: Callable[[], object], *, deadline: float = 10.0) -> None:
    """Wait until this holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def finished(way: Way, seen: list[Observation]) -> Observation:
    """The last observation of a job that succeeded."""
    last = seen[-1]
    assert last.verdict is Verdict.SUCCEEDED
    assert tuple(artifact.name for artifact in last.artifacts) == way.artifacts
    return last
