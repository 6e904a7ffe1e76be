"""Celery's worker: how soon it finds its broker again, and what it tells of its passwords."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

#: Between two attempts to reach the broker, seconds.
INTERVAL = 2


def reconnect_interval() -> None:
    """Have a worker try to reach its broker every `INTERVAL` seconds, for as long as it takes.

    Defect: `Consumer.ensure_connected` (celery/worker/consumer/consumer.py) passes no interval to kombu, which waits
    2, 4, 6 … 30 seconds between its attempts, and no setting bounds that (celery/celery#4627). After an outage of
    twenty seconds every worker stands still for up to ten more.
    """
    from celery.worker.consumer import Consumer

    consumer: Any = Consumer
    original = consumer.ensure_connected

    @wraps(original)
    def ensure_connected(self: Any, conn: Any) -> Any:
        conn.ensure_connection = partial(conn.ensure_connection, interval_start=INTERVAL, interval_max=INTERVAL)
        return original(self, conn)

    consumer.ensure_connected = ensure_connected


def stats_passwords() -> None:
    """Leave the passwords of Sentinels out of a worker's `stats`, which Flower shows.

    Defect: `Connection.info` (celery/worker/consumer/connection.py) drops the broker's own password and, since 5.7.0,
    masks those of its alternates (celery/celery#10484), but gives out `transport_options` as they are, with
    `sentinel_kwargs` in them (celery/celery#9563).
    """
    from celery.worker.consumer.connection import Connection

    step: Any = Connection
    original = step.info

    @wraps(original)
    def info(self: Any, c: Any) -> Any:
        stats = original(self, c)
        if isinstance(broker := stats["broker"], dict):  # N/A without a connection
            options = broker.get("transport_options") or {}
            broker["transport_options"] = {name: value for name, value in options.items() if name != "sentinel_kwargs"}
        return stats

    step.info = info
