"""An endpoint of somebody else: takes webhooks, answers as it is told to, and keeps what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    id: str
    headers: Mapping[str, str]
    body: str

    @property
    def data(self) -> dict[str, Any]:
        """The event in it."""
        return json.loads(self.body)["data"]  # type: ignore[no-any-return]


@dataclass
class Endpoint:
    """What it was sent, and what it says to it."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    #: Status, headers, and the seconds that it takes.
    answer: Callable[[Got], tuple[int, dict[str, str], float]] = lambda _: (200, {}, 0.0)

    def says(self, status: int, headers: dict[str, str] | None = None, seconds: float = 0.0) -> None:
        """The same answer to everything."""
        self.answer = lambda _: (status, headers or {}, seconds)

    def story(self) -> dict[str, list[int]]:
        """The `seq` of what came, by job, without repeats."""
        found: dict[str, list[int]] = {}
        for each in self.got:
            seqs = found.setdefault(each.data["job_id"], [])
            if each.data["seq"] not in seqs:
                seqs.append(each.data["seq"])
        return found


@contextmanager
def listening(tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Listen on loopback for the length of the block."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(headers["webhook-id"], headers, body)
            status, extra, seconds = endpoint.answer(got)
            endpoint.got.append(got)
            time.sleep(seconds)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that does not wait, or that does not trust us, is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    endpoint.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/in?token=of-the-address"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
