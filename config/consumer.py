"""Celery's consumer, made to find its broker again soon.

Stock Celery waits 2, 4, 6 … 30 seconds between its attempts to connect, and no setting bounds that: after an outage of
twenty seconds all workers stand still for up to ten more.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker import consumer

#: Between two attempts, seconds.
INTERVAL = 2


class Consumer(consumer.Consumer):
    """Tries to connect every `INTERVAL` seconds for as long as it takes."""

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for the broker."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_start=INTERVAL, interval_max=INTERVAL)
        return super().ensure_connected(conn)
