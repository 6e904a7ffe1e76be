"""The invented API of the tutorial, played by a server in a thread: Acme Prints."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from aiohttp import web

from tests.notices import SECRET, signed

KEY = "acme-key-of-the-tests"
PROOF = b"%PDF-1.4 a proof\n" * 5000


class Acme:
    """The API's state, which the tests read and set.

    A `slow` motif is printed only when it is told to be. `lost` motifs get no answer to their POST although it is
    taken, `dropped` ones once none and are not taken.
    """

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polls: dict[str, int] = {}
        self.dropped: set[str] = {"dropped"}
        self.printed: set[str] = set()  #: of the slow ones

    def taken(self, motif: str) -> int:
        """How many jobs were made for this motif."""
        return sum(job["motif"] == motif for job in self.jobs.values())

    def asked(self, motif: str) -> int:
        """How many POSTs arrived for this motif."""
        return sum(post["motif"] == motif for post in self.posts)

    def finish(self, reference: str) -> None:
        """Print a slow motif."""
        self.printed |= {number for number, job in self.jobs.items() if job["reference"] == reference}

    def tell(self, address: str, reference: str, secret: str = SECRET) -> int:
        """Tell a customer that a job has ended; the answer's status."""
        body, headers = signed({"type": "job.done", "data": {"reference": reference}}, secret)
        return httpx.post(address, content=body, headers=headers, timeout=10).status_code

    def application(self) -> web.Application:
        """The four calls and the file."""
        application = web.Application(middlewares=[self._key])
        application.router.add_get("/me", self._me)
        application.router.add_post("/jobs", self._post)
        application.router.add_get("/jobs", self._list)
        application.router.add_get("/jobs/{id}", self._get)
        application.router.add_get("/proofs/{id}", self._proof)
        return application

    @web.middleware
    async def _key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": "unknown key"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _me(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "a customer"})

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.posts.append(body)
        if body["motif"] == "forbidden":
            return web.json_response({"error": "this motif is not printed"}, status=422)
        if body["motif"] in self.dropped:
            self.dropped.discard(body["motif"])
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        number = f"p-{len(self.jobs) + 1}"
        self.jobs[number] = body
        if body["motif"] == "lost":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"id": number}, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query.get("reference")
        found = [{"id": number} for number, job in self.jobs.items() if job["reference"] == wanted]
        return web.json_response({"jobs": found})

    async def _get(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if number not in self.jobs:
            return web.json_response({"error": "unknown job"}, status=404)
        polls = self.polls[number] = self.polls.get(number, 0) + 1
        motif = self.jobs[number]["motif"]
        if polls < 3 or (motif == "slow" and number not in self.printed):
            return web.json_response({"status": "printing" if polls > 1 else "varnishing", "progress": 30 * polls})
        if motif == "rejected":
            return web.json_response({"status": "rejected", "reason": "out of ink"})
        promised = hashlib.sha256(PROOF + (b"x" if motif == "spoilt" else b"")).hexdigest()
        proof = {"link": f"/proofs/{number}", "bytes": len(PROOF), "sha256": promised}
        return web.json_response({"status": "done", "progress": 100, "proof": proof})

    async def _proof(self, request: web.Request) -> web.Response:
        return web.Response(body=PROOF, content_type="application/pdf")


@contextmanager
def serving() -> Iterator[Acme]:
    """The API on a free port, for as long as the block runs."""
    acme, ready, loop = Acme(), threading.Event(), asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(acme.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        acme.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield acme
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()
