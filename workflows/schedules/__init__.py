"""Workflows on a crontab: a job per tick, whose id follows from the tick, so that any number of beats start one.

`crontab` tells which ticks there are, `table` reads what `SETTLE_SCHEDULES` names, `beat` is the scheduler of Celery
beat.
"""

from __future__ import annotations

from workflows.schedules.crontab import tick_id

__all__ = ["tick_id"]
