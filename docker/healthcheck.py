"""Health of a container, cheap enough to ask every few seconds: `healthcheck.py worker` or `healthcheck.py URL`.

A worker is asked by name over the broker, and its answer goes through the loop that consumes tasks: what
`celery inspect ping` does, at a third of its price, because the application is not imported.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.request

#: Not every engine ends a check that hangs (a frozen Redis accepts connections and says nothing), seconds.
_LONGEST = 6


def worker() -> bool:
    """Whether the worker in this container answers."""
    from celery import Celery

    broker = os.environ.get("SETTLE_BROKER_URL") or os.environ["SETTLE_REDIS_URL"]
    with Celery("healthcheck", broker=broker, set_as_current=False) as app:
        pong = app.control.ping(pattern=f"*@{socket.gethostname()}", matcher="glob", timeout=3, limit=1)
    return bool(pong)


def page(url: str) -> bool:
    """Whether a page is there."""
    with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 (an address of the compose file)
        return bool(answer.status == 200)


if __name__ == "__main__":
    signal.alarm(_LONGEST)
    what = sys.argv[1]
    sys.exit(0 if (worker() if what == "worker" else page(what)) else 1)
