"""A terminal of our own, for what the command does only on one."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Self

#: What is waited for comes well within this time, seconds.
_PATIENCE = 40.0


class Terminal:
    """The command on a terminal of 120 columns; use it as a context.

    Args:
        arguments: of the command.
        settings: variables beside those of the tests' own environment.
        stdout: somewhere else for its standard output.
    """

    def __init__(self, *arguments: str, settings: Mapping[str, str], stdout: IO[bytes] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workflows.command", *arguments],
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **settings},
            start_new_session=True,
        )
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.05)[0]:
            with suppress(OSError):
                self.text += os.read(self._ours, 65536).decode("utf-8", "replace")

    def shows(self, text: str) -> None:
        """Wait until it shows a text."""
        end = time.monotonic() + _PATIENCE
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} is not in {self.text!r}"
            assert self.process.poll() is None or select.select([self._ours], [], [], 0)[0], self.text
            self._read()

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def ends(self) -> int:
        """Wait for its end; its exit code."""
        end = time.monotonic() + _PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text
            self._read()
        self._read()
        return self.process.returncode

    @property
    def mode(self) -> object:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)
