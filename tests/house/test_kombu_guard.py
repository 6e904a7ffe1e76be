"""What kombu is guarded from: a worker that forgets how much it may hold, a certificate for another name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue
from kombu.exceptions import OperationalError
from kombu.transport import pyamqp

from config import kombu_guard
from config.embedded import EmbeddedRedis
from config.tls import BrokerTLSSettings
from tests.waiting import until


def test_a_lost_acknowledgement_costs_no_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that may hold one message asks for the next although the acknowledgement never arrived."""
    kombu_guard.install()
    held: list[Message] = []
    with EmbeddedRedis(tmp_path) as server, Connection(server.url) as connection:
        queue = Queue("one", routing_key="one")
        Producer(connection.channel()).publish({}, routing_key="one", declare=[queue])
        channel = connection.channel()
        with Consumer(channel, [queue], callbacks=[lambda _, message: held.append(message)], prefetch_count=1):
            until(lambda: connection.drain_events(timeout=5) or held, "the message")
            assert not channel.qos.can_consume()
            server.kill()
            held[0].ack_log_error(logging.getLogger("test"), connection.connection_errors)
            server.start()
        assert "Couldn't ack" in caplog.text
        assert channel.qos.can_consume()


def test_each_broker_is_verified_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the second one, after the first did not answer; and by the name in the address, not the number behind it."""
    kombu_guard.install()
    asked: list[str] = []

    class Refused:
        def __init__(self, *, host: str, ssl: dict[str, str], **_: object) -> None:
            asked.append(ssl["server_hostname"])

        def connect(self) -> None:
            raise ConnectionRefusedError

    monkeypatch.setattr(pyamqp.Transport, "Connection", Refused)
    options = BrokerTLSSettings().options()
    for _ in range(2):  # an application shares its options among its connections
        connection = Connection("amqps://one//;amqps://localhost//", ssl=options)
        with pytest.raises(OperationalError):
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    assert asked == ["one", "localhost"] * 2
