"""A private, real Redis-protocol server from a wheel (Valkey 9), for `settle dev`, `settle demo` and the tests.

Listens on loopback only, with a password of its own, and keeps its append-only file in a state folder.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from jobs.errors import ConfigurationError
from patches.private import valkey_binary

_URL_FILE = "redis.url"


def running_url(state_dir: Path) -> str | None:
    """The address of the server that runs in this state folder, if one does."""
    try:
        url = (state_dir / "redis" / _URL_FILE).read_text().strip()
    except OSError:
        return None
    with suppress(redis.RedisError), redis.Redis.from_url(url, socket_connect_timeout=1) as client:
        client.ping()
        return url
    return None


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedRedis:
    """One server, from `start` to `stop`; data survive a stop and a kill.

    Args:
        state_dir: holds its data, its log and its address.
        appendfsync: how often the append-only file is synced, as in the server's configuration.
    """

    def __init__(self, state_dir: Path, *, appendfsync: str = "everysec") -> None:
        self._dir = state_dir / "redis"
        self._appendfsync = appendfsync
        self._password = secrets.token_urlsafe(24)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, password included: not for logs."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start it, again on the same port if it ran before, and wait until it answers.

        Raises:
            ConfigurationError: it did not come up; the message has the end of its log.
        """
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._dir / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\ndir {self._dir.absolute()}\n"
            f'appendonly yes\nappendfsync {self._appendfsync}\nsave ""\nmaxmemory-policy noeviction\n'
            f"logfile {self._dir.absolute() / 'valkey.log'}\n"
        )
        # A session of its own: Ctrl-C in the terminal reaches the workers first, the server is stopped last.
        self.process = subprocess.Popen(  # noqa: S603
            [str(valkey_binary()), str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()
        address = self._dir / _URL_FILE
        address.touch(mode=0o600)
        address.write_text(self.url)
        return self

    def _wait(self, deadline: float = 15.0) -> None:
        end = time.monotonic() + deadline
        client = redis.Redis.from_url(self.url, socket_connect_timeout=1)
        while time.monotonic() < end and self.process is not None and self.process.poll() is None:
            try:
                client.ping()
                client.close()
                return
            except redis.BusyLoadingError:  # on its way, however many jobs there are
                end = time.monotonic() + deadline
                time.sleep(0.1)
            except redis.RedisError:  # not listening yet
                time.sleep(0.02)
        self.stop()
        log = self._dir / "valkey.log"
        tail = log.read_text(errors="replace")[-500:] if log.exists() else ""
        raise ConfigurationError(f"the embedded Redis did not start on port {self.port}: {tail}")

    def stop(self, grace: float = 10.0) -> None:
        """Stop it cleanly: the append-only file is complete afterwards."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(FileNotFoundError):
            os.unlink(self._dir / _URL_FILE)  # noqa: PTH108

    def kill(self) -> None:
        """Kill it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
