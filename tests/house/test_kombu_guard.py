"""What kombu is guarded from: a worker that forgets how much it may hold."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue

from config import kombu_guard
from config.embedded import EmbeddedRedis
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
