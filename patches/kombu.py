"""kombu's transports: a worker that exits, one that falls silent, one that is slow, and a certificate's name."""

from __future__ import annotations

from functools import wraps
from typing import Any


def detached_channel() -> None:
    """Have a channel without a connection raise a connection error, which everybody catches.

    Defect: when the connection drops, Celery's consumer collects and then closes it
    (`on_connection_error_after_connected`). If another channel breaks first, the default channel is closed only the
    second time. With an unacknowledged message it then asks for connection parameters (`Channel._connparams`,
    kombu/transport/redis.py) although its transport has no client any more, and the worker exits with
    `AttributeError: 'NoneType' object has no attribute 'hostname'` (celery/kombu#582). The message itself comes back by
    the visibility timeout.
    """
    from kombu.transport import redis as transport
    from redis.exceptions import ConnectionError as RedisConnectionError

    channel: Any = transport.Channel
    original = channel._connparams

    @wraps(original)
    def connparams(self: Any, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel has lost its connection")
        return original(self, *args, **options)

    channel._connparams = connparams


def lost_acknowledgement() -> None:
    """Count a message as done although its acknowledgement could not be sent.

    Defect: `QoS.ack` (kombu/transport/redis.py) removes a message from the broker first and from its own count
    afterwards. If the broker is away, `Message.ack_log_error` logs "Couldn't ack" and the count stays. After as many
    of them as a worker may hold, it asks for no message any more, for ever, and never notices that its connection is
    lost. With the patch it asks for the next one, and reconnects. No upstream issue is known.
    """
    from kombu.transport import redis as transport
    from kombu.transport import virtual

    qos: Any = transport.QoS
    original = qos.ack

    @wraps(original)
    def ack(self: Any, delivery_tag: str) -> None:
        try:
            original(self, delivery_tag)
        except self.channel.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise

    qos.ack = ack


def kept_client() -> None:
    """Have a channel keep its Redis client for as long as it keeps its connection pool.

    Defect: `Channel._create_client` (kombu/transport/redis.py) makes a client of redis-py for each command, which
    takes longer than the command (0.1 ms). No upstream issue is known.
    """
    from kombu.transport import redis as transport

    channel: Any = transport.Channel
    original = channel._create_client

    @wraps(original)
    def create_client(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:  # of this kind there is one per channel, and it has a connection of its own
            return original(self, asynchronous=True)
        kept = self.__dict__.get("_kept_client")
        if kept is None or kept.connection_pool is not self.pool:
            kept = self._kept_client = original(self)
        return kept

    channel._create_client = create_client


def server_name() -> None:
    """Compare the certificate of an `amqps://` broker with the name in its own address, at every connection.

    Defect: `Transport.establish_connection` (kombu/transport/pyamqp.py, celery/kombu#1366) writes the first broker's
    name into the options that all connections share, so a second broker is verified by the name of the first. And it
    writes 127.0.0.1 where the address says localhost.
    """
    from kombu.transport import pyamqp

    transport: Any = pyamqp.Transport
    original = transport.establish_connection

    @wraps(original)
    def establish_connection(self: Any) -> Any:
        if isinstance(self.client.ssl, dict):  # shared by all connections of an application: changed in a copy
            self.client.ssl = {**self.client.ssl, "server_hostname": self.client.hostname}
        return original(self)

    transport.establish_connection = establish_connection
