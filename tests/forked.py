"""Commands in processes of their own that need not import every library anew: each is forked from one that has.

Only libraries are imported beforehand, and none that reads the environment or starts a thread when it is imported.
Every module of ours is imported by the command's own process, with its own environment.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    "aiohttp",
    "celery.app.amqp",
    "celery.app.base",
    "celery.backends.redis",
    "celery.canvas",
    "click",
    "cryptography.x509",
    "fsspec",
    "joserfc.jws",
    "kombu.transport.redis",
    "pydantic_settings",
    "redis.asyncio",
    "redis.sentinel",
    "rich.console",
    "rich.progress",
    "rich.table",
    "uvloop",
)
_LONGEST = 1 << 20


class _Origin:
    """The process that commands are forked from. It is started by the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def run(self, request: Mapping[str, Any], files: list[int], timeout: float) -> int:
        """Run one command; gives its exit code."""
        with self._lock:
            self._start()
            self._socket.settimeout(timeout)
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            pid = int(self._socket.recv(_LONGEST))
            try:
                return int(self._socket.recv(_LONGEST))
            except BaseException:  # the time-out of a test comes as one, too
                os.kill(pid, signal.SIGKILL)
                self.stop()  # or its exit code would be taken for an answer to the next command
                raise

    def _start(self) -> None:
        if self._process is not None:
            return
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._socket.close()
            self._process.wait()
            self._process = None


_origin = _Origin()


def python(
    *arguments: str, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `python` with these arguments, `-m MODULE …` or `-c CODE …`, to its end."""
    request = {"arguments": arguments, "env": dict(env), "cwd": str(cwd or Path.cwd())}
    with ExitStack() as exits:
        files = [exits.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        code = _origin.run(request, [file.fileno() for file in files], timeout)
        for file in files[1:]:
            file.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, *[file.read() for file in files[1:]])


def _forked(own: socket.socket) -> dict[str, Any]:
    """Fork for each request; returns in the process that has to carry it out."""
    while True:
        message, files, _, _ = socket.recv_fds(own, _LONGEST, 3)
        if not message:
            sys.exit()
        if not (pid := os.fork()):
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            own.close()
            request: dict[str, Any] = json.loads(message)
            return request
        for file in files:
            os.close(file)
        with suppress(BrokenPipeError):  # who asked waits no longer
            own.send(str(pid).encode())
            own.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _as_python_begins(request: Mapping[str, Any], path: list[str]) -> None:
    """Give this process what the interpreter takes from its environment when it starts."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    time.tzset()
    own = os.environ.get("PYTHONPATH", "")
    sys.path[:] = [request["cwd"], *filter(None, own.split(os.pathsep)), *path]
    how, what, *arguments = request["arguments"]
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    own = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    installed = [entry for entry in sys.path if entry not in own]
    for library in LIBRARIES:
        import_module(library)
    ours = ("config", "jobs", "patches", "providers", "settle_jobs", "simulator", "tasks", "workflows")
    assert not [name for name in sys.modules if name.partition(".")[0] in (*ours, "prometheus_client")]
    assert threading.active_count() == 1
    _as_python_begins(_forked(socket.socket(fileno=int(sys.argv[1]))), installed)
