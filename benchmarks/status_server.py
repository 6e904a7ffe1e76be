"""The remote API that every contender polls: answers as LettrLabs and Unique Tokens do, and keeps the books.

A process of its own, with nothing but the standard library and uvloop, so that it is never the bottleneck. It counts
the polls of each job and measures their lateness by one clock: arrival − (answer to the previous request + interval).

    python status_server.py [--port 0]

Control: `PUT /control/reset?polls=50&interval=0.01&size=0&digest=…&path=…` begins anew, `PUT /control/mark` forgets the
lateness so far, `GET /control/report` tells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from array import array
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvloop

#: Arrivals are counted in slots of so many seconds.
SLOT = 0.02

_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

# The seed page's envelope of a status answer; personal data are made up, of the same size.
_STATUS = (
    b'{"profile":{"id":1,"aadId":"1cbad290-069a-4527-be23-a0c144b5302d","email":"a@example.com","firstName":"A",'
    b'"lastName":"B","company":"C","created":"2026-01-01T00:00:00Z","shouldProcessQrCodes":true},'
    b'"payload":{"id":%d,"fileName":"api","dataSourceType":"api","status":"%s","uploadDate":"2026-01-01T00:00:00Z"},'
    b'"errors":[],"hasErrors":false,"warnings":[],"hasWarnings":false,"metadata":{}}'
)

_ALPHABET = (
    b'{"data":{"type":"alphabet","id":"bench","attributes":{"available":"1000000000","reachable":"1000000000"}}}'
)


class Books:
    """What was asked of the server since the last reset."""

    def __init__(self) -> None:
        self.reset(polls=1, interval=0.0)

    def reset(self, *, polls: int, interval: float, size: int = 0, digest: str = "", path: str = "") -> None:
        """Begin anew."""
        self.polls_needed, self.interval = polls, interval
        self.size, self.digest = size, digest
        self.path = Path(path) if path else None
        self.content = self.path.read_bytes() if self.path and size <= 1 << 20 else None
        self.jobs: dict[int, list[Any]] = {}  # id: [polls, time of the last answer]
        self.next_id = 0
        self.slots: dict[int, int] = {}
        self.polls = self.submitted = self.finished = self.extra = 0
        self.last_finish = self.first = 0.0
        self.late = array("f")

    def submit(self) -> int:
        """A new job."""
        self.next_id += 1
        self.submitted += 1
        now = time.monotonic()
        self.first = self.first or now
        self.jobs[self.next_id] = [0, now]
        return self.next_id

    def poll(self, number: int) -> bool:
        """One poll. Returns whether the job is complete."""
        now = time.monotonic()
        job = self.jobs.get(number)
        if job is None:  # put into the ledger by the benchmark itself: its first poll has no lateness
            job = self.jobs[number] = [0, 0.0]
        elif job[1]:
            self.late.append(now - job[1] - self.interval)
        self.polls += 1
        slot = int(now / SLOT)
        self.slots[slot] = self.slots.get(slot, 0) + 1
        job[0] += 1
        job[1] = now
        if job[0] == self.polls_needed:
            self.finished += 1
            self.last_finish = now
        elif job[0] > self.polls_needed:
            self.extra += 1
        return bool(job[0] >= self.polls_needed)

    def report(self) -> dict[str, Any]:
        """The books."""
        late = sorted(self.late)
        share = {
            name: late[min(int(len(late) * part), len(late) - 1)] * 1000 if late else None
            for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        }
        return {
            "polls": self.polls,
            "submitted": self.submitted,
            "finished": self.finished,
            "extra": self.extra,
            "first": self.first,
            "last_finish": self.last_finish,
            "now": time.monotonic(),
            "lateness": share,
            "slot": SLOT,
            "slots": sorted(self.slots.items()) if len(self.slots) < 50_000 else [],
        }


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._buffer = b""
        self._transport: Any = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            length, whole = 0, end + 4
            if not data.startswith(b"GET"):
                at = data[:end].lower().find(b"content-length:")
                length = int(data[at + 15 : data.find(b"\r", at)]) if at >= 0 else 0
                if len(data) < whole + length:
                    break
            method, target, _ = data[: data.find(b"\r\n")].split(b" ", 2)
            self._answer(method, target)
            data = data[whole + length :]
        self._buffer = data

    def _send(self, body: bytes, status: int = 200) -> None:
        self._transport.write(_HEAD % (status, len(body)) + body)

    def _answer(self, method: bytes, target: bytes) -> None:
        books = self._books
        if target.startswith(b"/v1/conversions"):
            if method == b"POST":
                self._send(b'{"payload":{"id":%d},"errors":[],"hasErrors":false,"metadata":{}}' % books.submit())
            else:
                number = int(target.split(b"/")[3])
                self._send(_STATUS % (number, b"completed" if books.poll(number) else b"processing"))
        elif target.startswith(b"/api/sessions"):
            self._send(b'{"data":{"type":"session","id":"bench"}}')
        elif target.startswith(b"/api/alphabets"):
            self._send(_ALPHABET)
        elif target.startswith(b"/api/tokens"):
            if method == b"POST":
                self._send(b'{"data":{"type":"tokens","id":"line-%d"}}' % books.submit())
            else:
                self._send(self._line(target))
        elif target.startswith(b"/files"):
            self._file()
        else:
            self._control(method, target.decode())

    def _line(self, target: bytes) -> bytes:
        books = self._books
        name = target.split(b"/")[3].decode()
        ended = books.poll(int(name.partition("-")[2]))
        lines = books.size // 64
        attributes: dict[str, Any] = {"status": "ended" if ended else "started", "size": str(lines), "digits": "63"}
        document: dict[str, Any] = {"data": {"type": "tokens", "id": name, "attributes": attributes}}
        if ended:
            attributes |= {"filesizes": {"data": books.size}, "filehashes": {"data": books.digest}, "partial": False}
            document["links"] = {"data": f"/files/{name}"}
        return json.dumps(document).encode()

    def _file(self) -> None:
        books = self._books
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.api+json\r\nContent-Length: %d\r\n\r\n" % books.size
        )
        if books.content is not None:
            self._transport.write(books.content)
        elif books.path is not None:
            self._sending = asyncio.ensure_future(self._send_file(books.path))

    async def _send_file(self, path: Path) -> None:
        with path.open("rb") as content:
            while piece := content.read(256 * 1024):
                await self._may_write.wait()
                self._transport.write(piece)

    def _control(self, method: bytes, target: str) -> None:
        path, _, query = target.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if path == "/control/reset":
            self._books.reset(
                polls=int(asked["polls"]),
                interval=float(asked["interval"]),
                size=int(asked.get("size", 0)),
                digest=asked.get("digest", ""),
                path=asked.get("path", ""),
            )
            self._send(b"{}")
        elif path == "/control/mark":
            self._books.late = array("f")
            self._send(b"{}")
        elif path == "/control/report":
            self._send(json.dumps(self._books.report()).encode())
        else:
            self._send(b'{"error":"no such path"}', 404)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    books = Books()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(books), "127.0.0.1", port)
    print(f"status server ready on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
