"""One request and its answer, and the way of a request through faults, handler and books."""

import asyncio
import inspect
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulator import rates
from simulator.faults import Fault
from simulator.plans import PROVIDERS, Job
from simulator.world import World, dump

CHUNK = 16_384
"""How many bytes of a file go into one chunk of a streamed answer."""


@dataclass(slots=True)
class Reply:
    """An answer before faults are applied to it.

    `chunked` sends no Content-Length; `length` is the Content-Length of an answer to HEAD.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    length: int | None = None


def json_reply(status: int, value: Any, content_type: str = "application/json") -> Reply:
    """Answer with a JSON value."""
    return Reply(status, dump(value), content_type)


def text_reply(status: int, text: str) -> Reply:
    """Answer with plain text."""
    return Reply(status, text.encode(), "text/plain; charset=utf-8")


class Exchange:
    """A request on its way: what handlers read from it and report about it."""

    __slots__ = ("accepted", "body", "job", "now", "published_wrong", "request", "served_file", "word")

    def __init__(self, request: web.Request, body: bytes, now: float) -> None:
        self.request = request
        self.body = body
        self.now = now
        self.job: Job | None = None
        """The job that the path names, when it is known."""
        self.accepted: frozenset[str] = frozenset()
        """Set by a submit handler: the references for which it made a job."""
        self.word: str | None = None
        """The undocumented status word to show, when that fault is on."""
        self.published_wrong = False
        """Whether a digest in this answer shall be wrong, when that fault is on."""
        self.served_file = False
        """Set by a handler that serves a whole file of `job`."""

    def json(self) -> Any:
        """Read the body as JSON; raises ValueError."""
        return json.loads(self.body)

    def path(self, name: str) -> str:
        """Give a variable part of the path."""
        return self.request.match_info[name]


Handler = Callable[[Exchange], Reply | Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a submission: references that the account counts, aliases that plans and faults may use."""

    references: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its method and path below the base URL of its service, and who answers.

    `job` finds the job that the path names. `names` reads the references from the body of a submission, and
    marks the operation as one. `poll` marks the status requests.
    """

    method: str
    path: str
    operation: str
    handler: Handler
    job: Callable[[Exchange], Job | None] | None = None
    names: Callable[[Exchange], Names] | None = None
    poll: bool = False


class Service(ABC):
    """One simulated API."""

    name: str
    prefix: str

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def routes(self) -> list[Route]:
        """Give the operations."""

    @abstractmethod
    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer with an error in the shape of this API."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all jobs and sessions."""


_FAULT_CODES = {
    "401": "Unauthorized",
    "429": "Too Many Requests",
    "500": "Internal Server Error",
    "503": "Service Unavailable",
}


def handler_for(world: World, service: Service, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make the aiohttp handler of one operation."""
    provider, operation = service.name, route.operation
    books, faults, now = world.books, world.faults, world.clock.now

    async def answer(request: web.Request) -> web.StreamResponse:
        moment = now()
        books.arrived(provider, moment)
        body = await request.read() if request.can_read_body else b""
        exchange = Exchange(request, body, moment)
        names = route.names(exchange) if route.names else None
        if route.job is not None:
            exchange.job = job = route.job(exchange)
            if job is not None and route.poll:
                job.polls += 1
        refused = _too_many(world, service, exchange)
        if refused is not None:
            if names is not None:
                books.stopped(provider, names.references)
            books.answered(provider, operation, "429")
            return await _send(request, refused)
        taken = faults.take(provider, operation, _all_names(names, exchange.job))
        main: Fault | None = None
        for fault in taken:
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
                exchange.now = now()
            elif fault.kind == "unknown_word":
                exchange.word = fault.word
            elif fault.kind == "wrong_digest":
                exchange.published_wrong = True
            else:
                main = fault
        if main is not None and main.kind == "proxy" and not main.passes_on:
            if names is not None:
                books.stopped(provider, names.references)
            books.answered(provider, operation, f"proxy {main.status}")
            return await _send(request, _page(main))
        if main is not None and (main.kind == "reset" or main.kind in _FAULT_CODES):
            if names is not None:
                books.stopped(provider, names.references)
            if main.kind == "reset":
                books.answered(provider, operation, "reset")
                return _abort(request)
            reply = service.error(int(main.kind), _FAULT_CODES[main.kind], exchange)
            if main.retry_after is not None and main.kind in {"429", "503"}:
                reply.headers["Retry-After"] = str(main.retry_after)
            books.answered(provider, operation, main.kind)
            return await _send(request, reply)
        answered = route.handler(exchange)
        reply = await answered if inspect.isawaitable(answered) else answered
        if names is not None:
            books.submitted(provider, names.references, exchange.accepted)
        if main is not None:
            return await _spoil(world, request, reply, main, (provider, operation))
        books.answered(provider, operation, str(reply.status))
        if exchange.served_file and exchange.job is not None:
            exchange.job.files_served += 1
        return await _send(request, reply)

    return answer


def _page(fault: Fault) -> Reply:
    """Make the page of a proxy; a redirect leads to a page of its own, too."""
    page = f"<html><head><title>{fault.status}</title></head><body><h1>{fault.status}</h1></body></html>"
    reply = Reply(fault.status, page.encode(), "text/html")
    if fault.status < 400:
        reply.headers["Location"] = "/maintenance.html"
    if fault.status in {429, 503} and fault.retry_after is not None:
        reply.headers["Retry-After"] = str(fault.retry_after)
    return reply


def _too_many(world: World, service: Service, exchange: Exchange) -> Reply | None:
    """Give the 429 of a request beyond the rate limit of its provider; the time-stamp authority has none."""
    provider = next((known for known in PROVIDERS if known == service.name), None)
    if provider is None:
        return None
    switches = world.switches.of(provider)
    wait = world.rates.wait(provider, switches, world.clock, exchange.now)
    if wait is None:
        return None
    reply = service.error(429, _FAULT_CODES["429"], exchange)
    reply.headers.update(rates.header(switches, wait, exchange.now))
    return reply


def _all_names(names: Names | None, job: Job | None) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if names is not None:
        found = names.references + names.aliases
    if job is not None:
        found += job.references + job.aliases
    return found


def _response(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    if reply.content_type is None:
        response.headers.popall("Content-Type", None)
    else:
        response.headers["Content-Type"] = reply.content_type
    if reply.length is not None:
        response.headers["Content-Length"] = str(reply.length)
    elif reply.chunked:
        response.enable_chunked_encoding()
    return response


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    if not reply.chunked or len(reply.body) <= CHUNK or reply.length is not None:
        return _response(reply)
    return await _stream(request, reply, [reply.body[i : i + CHUNK] for i in range(0, len(reply.body), CHUNK)])


async def _stream(
    request: web.Request, reply: Reply, pieces: list[bytes], pause: float = 0.0, *, cut: bool = False
) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.content_type is not None:
        response.headers["Content-Type"] = reply.content_type
    if reply.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(reply.body)
    try:
        await response.prepare(request)
        for piece in pieces:
            if pause:
                await asyncio.sleep(pause)
            await response.write(piece)
    except ConnectionError:  # the client went away: nothing is left to do
        return response
    if cut and request.transport is not None:
        # Closing (not aborting) flushes what was written, so that the client sees a part of the body.
        request.transport.close()
    return response


async def _spoil(
    world: World, request: web.Request, reply: Reply, fault: Fault, place: tuple[str, str]
) -> web.StreamResponse:
    """Send the answer of a processed request in the way that `fault` wants."""
    provider, operation = place
    if fault.kind == "reset_after":
        world.books.answered(provider, operation, "reset_after")
        return _abort(request)
    if fault.kind == "proxy":
        world.books.answered(provider, operation, f"proxy {fault.status}")
        return await _send(request, _page(fault))
    if fault.kind == "rubbish":
        world.books.answered(provider, operation, "200")
        return _response(Reply(200, b'{"status": "succ', reply.content_type))
    world.books.answered(provider, operation, str(reply.status))
    if request.method == "HEAD" or not reply.body:
        return _response(reply)
    if fault.kind == "cut_body":
        # Without its last byte a body is never whole, even when it is tiny.
        return await _stream(request, reply, [reply.body[: len(reply.body) // 2]], cut=True)
    step = max(1, len(reply.body) // 10)
    pieces = [reply.body[i : i + step] for i in range(0, len(reply.body), step)]
    return await _stream(request, reply, pieces, fault.seconds / len(pieces))


def _abort(request: web.Request) -> web.StreamResponse:
    """Reset the connection (RST instead of FIN), so that no answer can arrive."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
