"""Records a command on a terminal of its own, as asciicast v2: `python -m docs.scripts.record FILE COMMAND…`.

The file holds what was printed and when, and nothing of this machine: no environment, no name, no path.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

WIDTH, HEIGHT = 168, 40


def record(command: list[str], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """Run a command to its end and return its recording.

    Args:
        command: the program and its arguments; it runs in an empty folder.
        width: columns of the terminal.
        height: its lines.

    Raises:
        SystemExit: the command failed.
    """
    lines = [json.dumps({"version": 2, "width": width, "height": height, "title": " ".join(command)})]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)  # noqa: S606
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        held = b""
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            text, held = _whole(held + piece)
            lines.append(json.dumps([round(time.monotonic() - started, 3), "o", text], ensure_ascii=False))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
    if status:
        raise SystemExit(f"{command[0]} ended with {status}; nothing is recorded")
    return "\n".join([*lines, ""])


def _whole(data: bytes) -> tuple[str, bytes]:
    """What can be read as text, and the first bytes of a character whose others are still to come."""
    for rest in range(min(4, len(data) + 1)):
        try:
            return data[: len(data) - rest].decode(), data[len(data) - rest :]
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace"), b""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(record(sys.argv[2:]))
