"""Everything of Settle on one machine: embedded Redis, the simulated APIs, real worker processes, Flower."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.embedded import EmbeddedRedis, free_port
from config.settings import inherited
from jobs.errors import ConfigurationError
from simulator import DEFAULT_DID, DEFAULT_KEYS, samples
from simulator.control import ControlClient

Echo = Callable[[str, str], None]

#: How fast the simulated clock runs: minutes of minting become seconds.
SPEED = 60.0

_READY = "simulator ready on "

#: Lines of a process in which something is found that it printed before anybody waited for it.
_KEPT = 5000


def celery(*arguments: str) -> list[str]:
    """A Celery command of this application."""
    return [sys.executable, "-m", "celery", "-A", "config.celery_app", *arguments]


WORKERS = {
    "poll-worker": ["-Q", "celery,settle.submit,settle.poll", "-P", "prefork", "-c", "2"],
    "file-worker": ["-Q", "settle.files", "-P", "threads", "-c", "4"],
}


class Process:
    """One child process whose output goes line by line to `echo`.

    Args:
        name: for people.
        command: the program and its arguments.
        environment: its whole environment.
        echo: takes the name and a line of its output.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], echo: Echo) -> None:
        self.name = name
        self._seen = threading.Condition()
        self._lines: deque[str] = deque(maxlen=_KEPT)
        # A session of its own: Ctrl-C reaches only the command, which ends its processes in order.
        self.process = subprocess.Popen(  # noqa: S603
            list(command),
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(echo,), daemon=True).start()

    def _read(self, echo: Echo) -> None:
        for line in self.process.stdout or ():
            with self._seen:
                self._lines.append(line.rstrip())
                self._seen.notify_all()
            echo(self.name, line.rstrip())
        with self._seen:
            self._seen.notify_all()

    def wait_for(self, text: str, deadline: float = 30.0) -> str:
        """The first line that holds a text.

        Raises:
            ConfigurationError: the process ended, or did not print it in time; the message has its last lines.
        """
        end = time.monotonic() + deadline
        with self._seen:
            while True:
                for line in self._lines:
                    if text in line:
                        return line
                left = end - time.monotonic()
                if self.process.poll() is not None or left <= 0:
                    last = "\n".join(list(self._lines)[-10:])
                    raise ConfigurationError(f"{self.name} did not come up:\n{last}")
                self._seen.wait(min(left, 0.5))

    def stop(self, grace: float = 20.0) -> int:
        """Ask it to end, and wait; kill it if it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.stdout.close()
        return code


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """A process for as long as the block runs."""
    try:
        yield process
    finally:
        process.stop()


def pointed_at(url: str) -> dict[str, str]:
    """The settings that point every provider at a simulator, with a poll window for its quick clock."""
    base = {
        "COMMONSDB": f"{url}/commonsdb",
        "MYIPR": f"{url}/myipr",
        "UNIQUE_TOKENS": url,
        "LETTRLABS": f"{url}/lettrlabs/api",
    }
    environment = {"SETTLE_MYIPR__DOWNLOAD_HOSTS": '["127.0.0.1"]'}
    for name, address in base.items():
        environment |= {
            f"SETTLE_{name}__BASE_URL": address,
            f"SETTLE_{name}__API_KEY": dict(DEFAULT_KEYS)[name.lower()],  # type: ignore[index]
            f"SETTLE_{name}__POLL_FIRST": "0.2",
            f"SETTLE_{name}__POLL_MINIMUM": "0.2",
            f"SETTLE_{name}__POLL_MAXIMUM": "1.5",
        }
    return environment


def signing(url: str, state_dir: Path) -> dict[str, str]:
    """What CommonsDB needs to sign plain metadata for a simulator: an invented key, DID and credential."""
    credentials = (state_dir / "commonsdb-credentials.json").absolute()
    credentials.write_text(json.dumps(samples.credential()))
    return {
        "SETTLE_COMMONSDB__SIGNING_KEY": samples.signing_jwk(),
        "SETTLE_COMMONSDB__DECLARER_ID": DEFAULT_DID,
        "SETTLE_COMMONSDB__CREDENTIALS_FILE": str(credentials),
        "SETTLE_COMMONSDB__TSA_URL": f"{url}/tsa",
    }


class Stack:
    """What runs on this machine, and the environment in which more can be started.

    Args:
        state_dir: of the embedded Redis and the artifacts.
        echo: takes the output of the processes.
        speed: of the simulated clock.
        workers: the worker processes by name, with their arguments.
        own: whether Settle's variables in the environment count.
    """

    def __init__(
        self,
        state_dir: Path,
        echo: Echo,
        *,
        speed: float = SPEED,
        workers: Mapping[str, Sequence[str]] | None = None,
        own: bool = True,
    ) -> None:
        self._state_dir = state_dir
        self._echo = echo
        self._speed = speed
        self._own = own
        self._workers = WORKERS if workers is None else workers
        self._exits = ExitStack()
        self.environment: dict[str, str] = {}
        self.simulator_url = ""

    def __enter__(self) -> Stack:
        with ExitStack() as exits:
            self._start(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def _start(self, exits: ExitStack) -> None:
        self._state_dir.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **inherited(own=self._own),
            "SETTLE_STATE_DIR": str(self._state_dir),
            "PYTHONUNBUFFERED": "1",
        }
        if "SETTLE_REDIS_URL" not in self.environment:
            self.environment["SETTLE_REDIS_URL"] = exits.enter_context(EmbeddedRedis(self._state_dir)).url
        simulate = [sys.executable, "-m", "simulator", "--port", str(free_port()), "--speed", str(self._speed)]
        simulator = exits.enter_context(running(Process("simulator", simulate, self.environment, self._echo)))
        self.simulator_url = simulator.wait_for(_READY).partition(_READY)[2].strip()
        # What a person has configured goes before the simulator; an invented key never signs for a real API.
        own = "SETTLE_COMMONSDB__BASE_URL" in self.environment
        simulated = {} if own else signing(self.simulator_url, self._state_dir)
        self.environment = {**pointed_at(self.simulator_url), **simulated, **self.environment}
        # Side by side: each worker needs seconds to start.
        started = []
        for name, arguments in self._workers.items():
            command = celery("worker", "-n", f"{name}@%h", *arguments)
            started.append(exits.enter_context(running(Process(name, command, self.environment, self._echo))))
        for worker in started:
            worker.wait_for(" ready.")

    def start(self, name: str, command: Sequence[str]) -> Process:
        """One more process in this environment."""
        return self._exits.enter_context(running(Process(name, command, self.environment, self._echo)))

    def control(self) -> ControlClient:
        """Control of the simulator."""
        return self._exits.enter_context(ControlClient(self.simulator_url))
