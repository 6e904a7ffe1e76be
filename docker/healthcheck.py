"""Health of a container, cheap enough to ask every few seconds: `healthcheck.py worker` or `healthcheck.py URL`.

A worker touches SETTLE_HEALTH_FILE with each heartbeat, every two seconds: then the loop that consumes tasks runs, and
the broker takes its messages. So nobody needs the broker's password for this, and no message is sent.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

#: Not every engine ends a check that hangs, seconds.
_LONGEST = 6

#: A worker whose last heartbeat is older does not work, seconds. It may wait this long for a Redis that hangs.
_OLDEST = 15


def worker() -> bool:
    """Whether the worker in this container is alive and reaches its broker."""
    return time.time() - Path(os.environ["SETTLE_HEALTH_FILE"]).stat().st_mtime < _OLDEST


def page(url: str) -> bool:
    """Whether a page is there."""
    with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 (an address of the compose file)
        return bool(answer.status == 200)


if __name__ == "__main__":
    signal.alarm(_LONGEST)
    what = sys.argv[1]
    sys.exit(0 if (worker() if what == "worker" else page(what)) else 1)
