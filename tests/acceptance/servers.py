"""The servers of a house: one Redis for everything, RabbitMQ beside it, or Redis behind three Sentinels.

`--broker` says which. The tests see the same in each case: addresses, a client that has none of our code, the ledger.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import redis
from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError
from redis.sentinel import Sentinel

from config.embedded import EmbeddedRedis, free_port
from patches.private import valkey_binary
from tests.waiting import until

QUEUES = ("celery", "settle.submit", "settle.poll", "settle.files", "billing")

#: What the Sentinels call the primary; not the default, so that the setting is seen to count.
PRIMARY = "ledger"

PASSWORD = "a-password-of-the-tests"

#: What a job may lose when a connection breaks, and calls that are shorter still.
SHORT_LEASE = {"SETTLE_LEASE": "3", "SETTLE_COMMONSDB__STAMP_WITHIN": "0.9"} | {
    f"SETTLE_{provider}__{field}": "1"
    for provider in ("COMMONSDB", "MYIPR", "UNIQUE_TOKENS", "LETTRLABS")
    for field in ("CONNECT_TIMEOUT", "READ_TIMEOUT")
}


class Servers:
    """One Redis: broker, result store and ledger."""

    #: How fast the simulated APIs run.
    speed = 60.0

    #: Whether `disturb` breaks every connection.
    fails_over = False

    def __init__(self, folder: Path) -> None:
        self.redis = EmbeddedRedis(folder)

    def __enter__(self) -> Self:
        self.redis.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.redis.stop()

    @property
    def broker(self) -> str:
        """Where callers send to."""
        return self.url

    @property
    def url(self) -> str:
        """Where results are."""
        return self.redis.url

    @property
    def options(self) -> dict[str, Any]:
        """What Celery needs to know beside the two addresses, as its configuration has it."""
        return {}

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point Settle here."""
        return {"SETTLE_REDIS_URL": self.url}

    def celery(self) -> Celery:
        """A client that knows the addresses and nothing else."""
        client = Celery(broker=self.broker, backend=self.url, set_as_current=False)
        client.conf.update(self.options)
        return client

    def client(self) -> redis.Redis:
        """A client of the server that takes writes."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def prepare(self) -> None:
        """Be ready to disturb."""

    def disturb(self) -> None:
        """What must not disturb a job; nothing here."""


class RabbitMQ(Servers):
    """A RabbitMQ that runs already as broker, and a Redis for results and ledger."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url

    def __enter__(self) -> Self:
        # Emptied, not deleted: clients of this process know that they declared them, and would not do it again.
        with Connection(self._url) as connection:
            for queue in QUEUES:
                with suppress(ChannelError), connection.channel() as channel:
                    channel.queue_purge(queue)
        return super().__enter__()

    @property
    def broker(self) -> str:
        """RabbitMQ."""
        return self._url

    @property
    def environment(self) -> dict[str, str]:
        """With the broker beside Redis."""
        return {**super().environment, "SETTLE_BROKER_URL": self._url}


class _Server:
    """A process of the embedded server's program, with a configuration of its own."""

    def __init__(self, folder: Path, text: str, *arguments: str) -> None:
        folder.mkdir(parents=True)
        self._log, config = folder / "log", folder / "server.conf"
        self._command = [str(valkey_binary()), str(config), *arguments]
        for _ in range(5):
            self.port = free_port()
            config.write_text(f"bind 127.0.0.1\nport {self.port}\ndir {folder}\nlogfile {self._log}\n{text}")
            if self._started():
                return
        raise AssertionError(f"it does not start: {self._log.read_text()}")

    def _started(self) -> bool:
        """Start it; whether it came up, for meanwhile another process of the tests may have taken the port."""
        self._log.write_text("")
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, start_new_session=True)

        def decided() -> bool:
            text = self._log.read_text()
            return self.process.poll() is not None or "Ready to accept" in text or "Sentinel ID is" in text

        until(decided, "a server")
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Sentinels(Servers):
    """A primary with one replica, and three Sentinels that agree about who is the primary."""

    #: A fail-over takes a second or two: jobs must last longer, or it would not be in their middle.
    speed = 12.0
    fails_over = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._start(exits)
            self._exits = exits.pop_all()
        return self

    def _start(self, exits: ExitStack) -> None:
        both = (
            f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\nappendonly yes\nrepl-diskless-sync-delay 0\n"
            "min-replicas-to-write 1\n"
        )

        def started(name: str, text: str, *arguments: str) -> _Server:
            server = _Server(self._folder / name, text, *arguments)
            exits.callback(server.stop)
            return server

        first = started("one", both)
        started("two", f"{both}replicaof 127.0.0.1 {first.port}\n")
        # Sentinels look for replicas when they start, and then every ten seconds.
        with redis.Redis(port=first.port, password=PASSWORD) as primary:
            self._until(lambda: _behind(primary) == 0, "the replica")
        watch = (
            f"sentinel monitor {PRIMARY} 127.0.0.1 {first.port} 2\nsentinel auth-pass {PRIMARY} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {PRIMARY} 20000\nsentinel failover-timeout {PRIMARY} 10000\n"
        )
        guards = [started(f"sentinel-{n}", watch, "--sentinel") for n in range(3)]
        self._ports = [guard.port for guard in guards]
        self._known: Any = Sentinel([("127.0.0.1", port) for port in self._ports])  # type: ignore[no-untyped-call]
        self._until(self._agreed, "three Sentinels that know each other")
        for one in self._known.sentinels:  # every test would wait for their look at the servers, by default each 10 s
            one.execute_command("SENTINEL DEBUG", "INFO-PERIOD", "500")

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _agreed(self) -> bool:
        return all(one.sentinel_master(PRIMARY)["num-other-sentinels"] == 2 for one in self._known.sentinels)

    def _informed(self) -> Any:
        """A Sentinel that knows the replica as one that could take over."""
        for one in self._known.sentinels:
            primary, replicas = one.sentinel_master(PRIMARY), one.sentinel_slaves(PRIMARY)
            if "master" in primary["flags"] and "down" not in primary["flags"] and len(replicas) == 1:
                seen = replicas[0]
                address = primary["ip"], str(primary["port"])
                if seen["master-link-status"] == "ok" and (seen["master-host"], str(seen["master-port"])) == address:
                    return one
        return None

    @property
    def url(self) -> str:
        """The Sentinels; the password is that of the servers behind them."""
        return ";".join(f"sentinel://:{PASSWORD}@127.0.0.1:{port}" for port in self._ports)

    @property
    def options(self) -> dict[str, Any]:
        """The name of the primary; and patience, where Celery has none by itself."""
        return {
            "broker_transport_options": {"master_name": PRIMARY},
            "result_backend_transport_options": {"master_name": PRIMARY},
            "result_backend_always_retry": True,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The password apart from the address, as a deployment would have it."""
        address = ";".join(f"sentinel://127.0.0.1:{port}" for port in self._ports)
        return {
            "SETTLE_REDIS_URL": address,
            "SETTLE_REDIS_PASSWORD": PASSWORD,
            "SETTLE_SENTINEL__MASTER": PRIMARY,
            **SHORT_LEASE,
        }

    def client(self) -> redis.Redis:
        """Of whoever is the primary."""
        primary: redis.Redis = self._known.master_for(PRIMARY, password=PASSWORD, decode_responses=True)
        return primary

    def prepare(self) -> None:
        """Wait until a fail-over could begin at once."""
        self._until(self._informed, "a Sentinel that knows the replica")

    def disturb(self) -> None:
        """Fail over in good order, as docs/operations.md has it."""
        before = self._known.discover_master(PRIMARY)
        self._until(self._informed, "a Sentinel that knows the replica")
        with redis.Redis(port=before[1], password=PASSWORD) as old:
            old.client_pause(60_000, all=False)
            self._until(lambda: _behind(old) == 0, "the replica to have everything")
            address = self._until(lambda: self._failed_over(before), "the fail-over", patience=50)
            # The Sentinels would come to this by themselves, some seconds later.
            old.execute_command("REPLICAOF", *address)
            old.client_unpause()

    def _failed_over(self, before: tuple[str, int]) -> tuple[str, int] | None:
        """Where the primary is now, once all Sentinels agree on it; sees to it that they change it."""
        known = [one.sentinel_master(PRIMARY) for one in self._known.sentinels]
        addresses = {(one["ip"], int(one["port"])) for one in known}
        if addresses != {before}:
            return None if len(addresses) > 1 else addresses.pop()
        under_way = any("failover_in_progress" in one["flags"] for one in known)
        if not under_way and (sentinel := self._informed()):
            sentinel.execute_command("SENTINEL FAILOVER", PRIMARY)
        return None

    @staticmethod
    def _until(condition: Callable[[], Any], what: str, patience: float = 20.0) -> Any:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except (redis.RedisError, KeyError):  # not there yet
                pass
            time.sleep(0.02)
        raise AssertionError(f"not in {patience:g} s: {what}")


def _behind(primary: redis.Redis) -> int:
    """How many bytes the replica still has to read."""
    told: Any = primary.info("replication")
    return int(told["master_repl_offset"]) - int(told["slave0"]["offset"])


def servers(broker: str, folder: Path, worker: str) -> Servers:
    """The servers that `--broker` asks for.

    Args:
        broker: `redis`, `sentinel`, or the address of a RabbitMQ; `{worker}` in it is replaced.
        folder: for their data.
        worker: the name of the process that runs the tests: each has a virtual host of its own.

    Raises:
        ValueError: it is none of these.
    """
    if broker == "redis":
        return Servers(folder)
    if broker == "sentinel":
        return Sentinels(folder)
    if broker.startswith("amqp://"):
        return RabbitMQ(folder, broker.replace("{worker}", worker))
    raise ValueError("--broker: redis, sentinel, or the address of a RabbitMQ (amqp://…)")
