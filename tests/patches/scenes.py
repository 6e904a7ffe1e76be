"""Shows each defect, in a process of its own: once as the libraries are, and once with our patches.

`python -m tests.patches.scenes` prints JSON: for each scene, what it saw before `patch_once()` and after.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from celery import Celery
from celery.worker.consumer import Consumer as Worker
from celery.worker.consumer.connection import Connection as ConnectionStep
from kombu import Connection, Consumer, Message, Producer, Queue
from kombu.common import ignore_errors
from kombu.exceptions import OperationalError
from kombu.transport import pyamqp
from redis import sentinel
from redis.asyncio import sentinel as asyncio_sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.embedded import EmbeddedRedis
from config.tls import BrokerTLSSettings
from patches import patch_once
from tests.patches.fake import Fake
from tests.waiting import until

Scene = Callable[[Path], Any]


def detached_channel(folder: Path) -> Any:
    """The end of closing a lost connection as Celery's consumer does it, with an unacknowledged message."""
    one, two = Queue("one", routing_key="one"), Queue("two", routing_key="two")
    held: list[Message] = []
    with EmbeddedRedis(folder) as server:
        connection = Connection(server.url)
        Producer(connection.channel()).publish({}, routing_key="one", declare=[one])
        Consumer(connection.default_channel, [one], callbacks=[lambda _, message: held.append(message)]).consume()
        Consumer(connection.channel(), [two]).consume()
        until(lambda: connection.drain_events(timeout=5) or held, "the message")
        with suppress(socket.timeout):  # both channels wait in BRPOP again
            connection.drain_events(timeout=0.01)
        server.kill()
        connection.collect()
        try:
            ignore_errors(connection, connection.close)
        except AttributeError as error:
            return str(error)
        finally:
            for message in held:
                message.channel.qos.restore_at_shutdown = False
    return "closed"


def lost_acknowledgement(folder: Path) -> Any:
    """Whether a worker that may hold one message may take the next, when an acknowledgement never arrived."""
    queue = Queue("one", routing_key="one")
    held: list[Message] = []
    with EmbeddedRedis(folder) as server, Connection(server.url) as connection:
        Producer(connection.channel()).publish({}, routing_key="one", declare=[queue])
        channel = connection.channel()
        with Consumer(channel, [queue], callbacks=[lambda _, message: held.append(message)], prefetch_count=1):
            until(lambda: connection.drain_events(timeout=5) or held, "the message")
            before = channel.qos.can_consume()
            server.kill()
            log = mock.Mock(spec=logging.Logger)
            held[0].ack_log_error(log, connection.connection_errors)
            server.start()
        return {"before": before, "logged": log.critical.call_count, "after": channel.qos.can_consume()}


def kept_client(folder: Path) -> Any:
    """Whether two commands of a channel share a client, and whether a new pool of connections gets a new one."""
    with EmbeddedRedis(folder) as server, Connection(server.url) as connection:
        channel = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            same = first is second
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            return {"same": same, "own pool": third is not first and third.connection_pool is channel.pool}


def server_name(_: Path) -> Any:
    """The names that two brokers' certificates are compared with, by two connections of an application."""
    asked: list[str] = []

    class Refused:
        def __init__(self, *, host: str, ssl: dict[str, str], **_: object) -> None:
            asked.append(ssl["server_hostname"])

        def connect(self) -> None:
            raise ConnectionRefusedError

    options = BrokerTLSSettings().options()
    with mock.patch.object(pyamqp.Transport, "Connection", Refused):
        for address in ("amqps://one//;amqps://localhost//", "amqps://localhost//"):
            connection = Connection(address, ssl=options)
            with suppress(OperationalError):
                connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    return asked[:3]


def reconnect_interval(_: Path) -> Any:
    """The seconds between the attempts of a worker to reach a broker that answers at the sixth."""
    waits: list[float] = []

    class Away:
        def __init__(self, **_: object) -> None:
            waits.append(0)

        def connect(self) -> None:
            if len(waits) < 6:
                raise ConnectionRefusedError

    def sleep(seconds: float) -> None:
        waits[-1] += seconds

    worker = Worker.__new__(Worker)
    worker.app = Celery(broker="amqp://broker//")
    worker.app.conf.broker_connection_retry_on_startup = True
    worker.first_connection_attempt, worker.broker_connection_retry_attempt = True, 0
    with (
        mock.patch.object(pyamqp.Transport, "Connection", Away),
        mock.patch("kombu.utils.functional.sleep", sleep),
        mock.patch("celery.worker.consumer.consumer.error"),
    ):
        worker.ensure_connected(worker.app.connection_for_read())
    return waits[:5]


def stats_passwords(_: Path) -> Any:
    """The passwords that a worker tells everybody who asks for its `stats`."""
    options = {"master_name": "ledger", "sentinel_kwargs": {"password": "of-the-sentinels"}}
    connection = Connection("sentinel://:of-redis@one/0;sentinel://:of-redis@two/0", transport_options=options)
    stats = ConnectionStep.info(ConnectionStep, SimpleNamespace(connection=connection))  # type: ignore[arg-type]
    kept = stats["broker"]["transport_options"]["master_name"]
    return {"name": kept, "shown": [word for word in ("of-redis", "of-the-sentinels") if word in repr(stats)]}


def _answers(error: str) -> str:
    with Fake(lambda command: f"-{error}\r\n" if command == "BRPOP" else "+OK\r\n") as server:
        connected = sentinel.Sentinel([])
        client = connected.master_for("ledger", protocol=2, retry=Retry(NoBackoff(), 0))
        with mock.patch.object(connected, "discover_master", return_value=server.address):
            try:
                client.brpop(["queue"])
            except RedisError as raised:
                return type(raised).__name__
    raise AssertionError("no error")


def not_the_primary(_: Path) -> Any:
    """How a client of Sentinels takes what a former primary says, and a mistake of its own."""
    said = ("UNBLOCKED force unblock from blocking operation", "NOREPLICAS Not enough good replicas", "ERR syntax")
    return {error.split()[0]: _answers(error) for error in said}


def ask_sentinels_again(_: Path) -> Any:
    """What a client gets whose primary fails in the middle of a command, when the Sentinels name the next one."""
    primary: list[tuple[str, int]] = []

    def fail(command: str) -> str:
        primary[:] = [new.address]
        old.cut()
        return ""

    with Fake(fail) as old, Fake(lambda command: "$3\r\nnew\r\n") as new:
        primary[:] = [old.address]
        connected = sentinel.Sentinel([])
        client = connected.master_for("ledger", protocol=2, decode_responses=True, retry=Retry(NoBackoff(), 3))
        with mock.patch.object(connected, "discover_master", side_effect=lambda _: primary[0]):
            try:
                return client.get("key")
            except RedisError as error:
                return type(error).__name__


def ask_each_sentinel_once(_: Path) -> Any:
    """How often a Sentinel that is gone is asked, and the seconds until the next one is: threads, event loop."""
    waits: list[float] = []

    async def nap(seconds: float) -> None:
        waits.append(seconds)

    async def discover(address: tuple[str, int]) -> None:
        await asyncio_sentinel.Sentinel([address]).discover_master("ledger")

    seen = []
    with mock.patch("redis.retry.sleep", waits.append), mock.patch("redis.asyncio.retry.sleep", nap):
        for ask in (
            lambda address: sentinel.Sentinel([address]).discover_master("ledger"),
            lambda address: asyncio.run(discover(address)),
        ):
            with Fake(None) as gone:
                waits.clear()
                with suppress(sentinel.MasterNotFoundError, asyncio_sentinel.MasterNotFoundError):
                    ask(gone.address)
                seen.append({"asked": gone.connections, "waits": bool(waits)})
    return seen


SCENES: dict[str, Scene] = {
    "kombu.detached-channel": detached_channel,
    "kombu.lost-acknowledgement": lost_acknowledgement,
    "kombu.kept-client": kept_client,
    "kombu.server-name": server_name,
    "celery.reconnect-interval": reconnect_interval,
    "celery.stats-passwords": stats_passwords,
    "redis.not-the-primary": not_the_primary,
    "redis.ask-sentinels-again": ask_sentinels_again,
    "redis.ask-each-sentinel-once": ask_each_sentinel_once,
}


def _play(scene: Scene) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return scene(Path(folder))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    without = {name: _play(scene) for name, scene in SCENES.items()}
    patch_once()
    sys.stdout.write(json.dumps({name: [without[name], _play(scene)] for name, scene in SCENES.items()}))
