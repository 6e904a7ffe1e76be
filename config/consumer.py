"""Celery's consumer, made to find its broker again soon, and to tell nobody its passwords.

Stock Celery waits 2, 4, 6 … 30 seconds between its attempts to connect, and no setting bounds that: after an outage of
twenty seconds all workers stand still for up to ten more.

Whoever asks a worker for its `stats`, as Flower does, is told the options of its broker and the addresses of all of
them, with the passwords in them: those of Redis and of its Sentinels, or of several RabbitMQs.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

from celery.worker import consumer
from celery.worker.consumer.connection import Connection

#: Between two attempts, seconds.
INTERVAL = 2


class Consumer(consumer.Consumer):
    """Tries to connect every `INTERVAL` seconds for as long as it takes."""

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for the broker."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_start=INTERVAL, interval_max=INTERVAL)
        return super().ensure_connected(conn)


def hide_passwords() -> None:
    """Leave them out. Safe to call again."""
    step: Any = Connection
    original = step.info
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def info(self: Any, c: Any) -> Any:
        told = original(self, c)
        if isinstance(broker := told["broker"], dict):  # N/A without a connection
            broker.pop("alternates", None)
            options = broker.get("transport_options") or {}
            broker["transport_options"] = {name: value for name, value in options.items() if name != "sentinel_kwargs"}
        return told

    info.guarded = True  # type: ignore[attr-defined]
    step.info = info
