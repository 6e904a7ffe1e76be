"""Celery 5.7.0 with kombu 5.7.0 and redis-py 8: a worker that exits, one that falls silent, and one that is slow.

When the Redis connection drops, Celery's consumer closes the connection a second time; if the worker holds an
unacknowledged message, kombu then asks a detached channel for its connection parameters and the worker process exits
with `AttributeError: 'NoneType' object has no attribute 'hostname'`. Nobody catches that; a connection error everybody
does. The message itself comes back by the visibility timeout, and the job long before that by its lease.

When an acknowledgement cannot be sent, kombu logs "Couldn't ack" and goes on, with the message still in its books. A
worker may hold only so many; after as many lost acknowledgements it asks for none any more, for ever, and does not
notice the connection it lost. Here the message leaves the books all the same: the worker asks for the next one, and if
the connection is gone, finds that out and makes a new one.

For each command to the broker kombu makes a new client of redis-py, which takes longer than the command (0.1 ms). Here
a channel keeps the one it made for as long as it keeps its connections.

With `amqps://` a certificate is compared with the name of the first broker that was ever connected to, for all of them;
and with 127.0.0.1 where the address says localhost. Here with the name in the address, each time.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from kombu.transport import pyamqp, virtual
from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


def install() -> None:
    """Put all of them in place. Safe to call again."""
    _guard_detached_channels()
    _guard_lost_acknowledgements()
    _keep_clients()
    _verify_names()


def _guard_detached_channels() -> None:
    channel: Any = transport.Channel
    original = channel._connparams
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def connparams(self: Any, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel has lost its connection")
        return original(self, *args, **options)

    connparams.guarded = True  # type: ignore[attr-defined]
    channel._connparams = connparams


def _guard_lost_acknowledgements() -> None:
    books: Any = transport.QoS
    original = books.ack
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def ack(self: Any, delivery_tag: str) -> None:
        try:
            original(self, delivery_tag)
        except self.channel.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise

    ack.guarded = True  # type: ignore[attr-defined]
    books.ack = ack


def _keep_clients() -> None:
    channel: Any = transport.Channel
    original = channel._create_client
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def create_client(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:  # of this kind there is one per channel, and it has a connection of its own
            return original(self, asynchronous=True)
        kept = self.__dict__.get("_kept_client")
        if kept is None or kept.connection_pool is not self.pool:
            kept = self._kept_client = original(self)
        return kept

    create_client.guarded = True  # type: ignore[attr-defined]
    channel._create_client = create_client


def _verify_names() -> None:
    transport_of_amqp: Any = pyamqp.Transport
    original = transport_of_amqp.establish_connection
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def establish_connection(self: Any) -> Any:
        if isinstance(self.client.ssl, dict):  # shared by all connections of an application: changed in a copy
            self.client.ssl = {**self.client.ssl, "server_hostname": self.client.hostname}
        return original(self)

    establish_connection.guarded = True  # type: ignore[attr-defined]
    transport_of_amqp.establish_connection = establish_connection
