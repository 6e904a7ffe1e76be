"""What runs a page: one shell and one Python for all of its blocks, as a reader would have them open."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Queue

from tests.waiting import until

#: Between two blocks in the output of a session.
_MARK = "\x1e"

#: What one command may take, seconds.
_PATIENCE = 60.0

_PYTHON = """
import json, sys, traceback
names = {"__name__": "__page__"}
for line in sys.stdin:
    place, code = json.loads(line)
    status = 0
    try:
        exec(compile(code, place, "exec"), names)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    print(f"\\x1e{status}", flush=True)
"""


class _Session:
    """A process that is given one piece after the other, and says after each how it went."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, text: str) -> tuple[int, str]:
        """Give it a piece; returns its status and what it printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()
        printed, end = "", time.monotonic() + _PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                return 124, f"{printed}\n(not over after {_PATIENCE:g} s: a command that stays open needs a note)"
            if line is None:
                return 125, f"{printed}\n(the session ended)"
            before, mark, status = line.partition(_MARK)
            printed += before
            if mark:
                return int(status), printed

    def close(self) -> None:
        """End it and whatever it left running."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Shell(_Session):
    """A bash that keeps its variables; what stays open runs beside it until the page is over."""

    def __init__(self, folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        super().__init__(["bash", "--noprofile", "--norc"], folder, environment)
        self._scratch = scratch
        self._open: list[int] = []

    def run(self, text: str) -> tuple[int, str]:
        """Run one command."""
        script = self._scratch / "command.sh"
        script.write_text(f"{text}\n")
        return self.ask(f". {script} </dev/null; printf '{_MARK}%d\\n' $?\n")

    def start(self, text: str, ready: str) -> str:
        """Run a command that stays open, and wait until it prints a text. Returns what it printed."""
        log = self._scratch / f"open-{len(self._open)}.log"
        script = log.with_suffix(".sh")
        script.write_text(f"{text}\n")

        def printed() -> str:
            return log.read_text(errors="replace") if log.exists() else ""

        line = f"setsid bash {script} </dev/null >{log} 2>&1 & printf '%d\\n{_MARK}0\\n' $!\n"
        self._open.append(int(self.ask(line)[1]))
        until(lambda: ready in printed() or not _lives(self._open[-1]), f"{ready!r} from {text!r}")
        assert ready in printed(), f"$ {text}\nended without {ready!r}:\n{printed()}"
        return printed()

    def close(self) -> None:
        """End what stays open first, as Ctrl-C would."""
        for pid in reversed(self._open):
            try:
                os.killpg(pid, signal.SIGTERM)
                until(lambda pid=pid: not _lives(pid), f"process {pid} to end", 30)  # type: ignore[misc]
            except ProcessLookupError:
                continue
        super().close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Python(_Session):
    """An interpreter that keeps its names."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__([sys.executable, "-c", _PYTHON], folder, environment)

    def run(self, code: str, place: str) -> tuple[int, str]:
        """Run one block."""
        return self.ask(json.dumps([place, code]) + "\n")
