"""`settle beat` as it stands, on a clock whose minutes last a second; as a program: `quick_beat.py START`.

The clock is the ledger's, as it always is: all that run at the same time see the same time. START is the time, by the
server's clock, at which it stood an hour behind that.
"""

from __future__ import annotations

import sys

from config import runtime as shared
from config.runtime import Runtime
from config.settings import settings
from jobs.clock import ServerClock
from workflows.command import main
from workflows.schedules.beat import TickScheduler

#: Seconds of its clock in one second.
SPEED = 60.0


class Quick:
    """The server's time, an hour ago, and quicker.

    Args:
        clock: the server's.
        start: when both stood together, but for the hour.
    """

    def __init__(self, clock: ServerClock, start: float) -> None:
        self._clock, self._start = clock, start

    def now(self) -> float:
        return self._start - 3600 + (self._clock.now() - self._start) * SPEED


if __name__ == "__main__":
    _own = settings()
    shared.use(Runtime(_own, clock=Quick(ServerClock(Runtime(_own).redis), float(sys.argv[1]))))
    _tick = TickScheduler.tick
    TickScheduler.tick = lambda self, *_, **__: _tick(self) / SPEED  # type: ignore[method-assign]
    sys.argv = ["settle", "beat"]
    main()
