"""A server that speaks just enough of Redis' protocol to refuse, to answer, and to break off."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class Fake:
    """Listens on a port of loopback, from `with` to its end.

    Args:
        answer: what it answers to a command, given its name; without one, it breaks off each connection at once.
    """

    def __init__(self, answer: Callable[[str], str] | None) -> None:
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._server.getsockname()[:2]
        self._open: list[socket.socket] = []
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break off every connection and take no more."""
        for each in (self._server, *self._open):
            with suppress(OSError):  # the other side was first
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # it is over
                return
            self.connections += 1
            if self._answer is None:
                connection.close()
                continue
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection, self._answer), daemon=True).start()

    def _talk(self, connection: socket.socket, answer: Callable[[str], str]) -> None:
        try:
            while text := connection.recv(65536).decode():
                for name in re.findall(r"\*\d+\r\n\$\d+\r\n(\w+)\r\n", text):
                    reply = "+OK\r\n" if name == "CLIENT" else answer(name)
                    connection.sendall(reply.encode())
        except OSError:  # cut
            return
