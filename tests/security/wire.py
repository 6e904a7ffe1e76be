"""What Redis is asked, line by line: MONITOR, read as bytes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from redis.connection import parse_url

_LINE = re.compile(rb'\+?[\d.]+ \[\d+ (\S+)\] "((?:[^"\\]|\\.)*)"(.*)', re.S)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@dataclass
class Wire:
    """Every command that Redis carried out, those of Lua scripts among them."""

    lines: list[bytes] = field(default_factory=list)

    def commands(self) -> Iterator[tuple[str, tuple[bytes, ...], bytes]]:
        """The command, its arguments, and the whole line."""
        for line in list(self.lines):
            if found := _LINE.match(line):
                words = tuple(_WORD.findall(found[3]))
                yield found[2].decode().lower(), words, line


@contextmanager
def tapped(url: str) -> Iterator[Wire]:
    """Listen to a server for as long as the block runs.

    Args:
        url: with a user who may do everything.
    """
    at = parse_url(url)
    wire, sock = Wire(), socket.create_connection((at["host"], at["port"]))
    sock.sendall(f"AUTH {at['password']}\r\nMONITOR\r\n".encode())
    source = sock.makefile("rb")
    assert (source.readline(), source.readline()) == (b"+OK\r\n", b"+OK\r\n")

    def read() -> None:
        with suppress(OSError, ValueError):
            wire.lines.extend(source)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield wire
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        reader.join(10)
        source.close()
        sock.close()
