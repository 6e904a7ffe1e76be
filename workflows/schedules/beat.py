"""The scheduler for Celery beat, and what it does at each look. It keeps no file: ids follow from ticks.

Any number of beats may run: each starts every tick, and the ledger makes one job of it. All go by the ledger's clock.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from celery import Celery, beat
from redis.exceptions import RedisError

from config.runtime import Runtime, runtime
from jobs.errors import SettleError
from workflows import acts
from workflows.schedules import table
from workflows.schedules.table import Schedule

logger = logging.getLogger(__name__)

#: The longest sleep, seconds: health is told after each, and the server's clock may be set.
_LONGEST = 5.0
#: After the ledger was found away, seconds.
_AFTER_TROUBLE = 1.0
_SHORTEST = 0.005

_SENDER = "settle@beat"


class _Line:
    """Where one schedule is."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.next: int | None = None  # the tick that is to be started; none before the first look
        self.since = 0.0  # every tick until here was started, or is not to be

    def go_on(self, since: float) -> None:
        self.since, self.next = since, self.schedule.crontab.next(since)


class Ticker:
    """Starts the job of each tick, once it has come.

    Args:
        run: the runtime; its clock says when a tick has come.
        app: tells Flower of jobs.
        schedules: what is to be started.
    """

    def __init__(self, run: Runtime, app: Celery, schedules: Sequence[Schedule]) -> None:
        self._run = run
        self._app = app
        self._lines = [_Line(schedule) for schedule in schedules]

    def look(self) -> float:
        """Start what has come. Returns the seconds until the next look."""
        wait = _LONGEST
        for line in self._lines:
            try:
                now = self._run.clock.now()
                if line.next is None:
                    line.go_on(max(self._first_seen(line.schedule, now), now - line.schedule.late))
                self._start_due(line, now)
                if line.next is not None:
                    wait = min(wait, line.next - now)
            except RedisError as error:  # the tick still counts for a while
                fields = {"schedule": line.schedule.name, "error": type(error).__name__}
                logger.warning("tick_waits", extra={"fields": fields})
                wait = min(wait, _AFTER_TROUBLE)
        return max(wait, _SHORTEST)

    def _first_seen(self, schedule: Schedule, now: float) -> float:
        """When a beat first saw this schedule: nothing before that is caught up."""
        when = hashlib.sha256(f"{schedule.text} {schedule.zone.key}".encode()).hexdigest()[:12]
        return float(self._run.ledger.remember(schedule.provider, f"schedule|{schedule.name}|{when}", repr(now)))

    def _start_due(self, line: _Line, now: float) -> None:
        oldest = now - line.schedule.late
        if line.next is not None and line.next <= oldest:
            fields = {"schedule": line.schedule.name, "first": line.schedule.job_id(line.next)}
            logger.warning("ticks_missed", extra={"fields": fields})
            line.go_on(oldest)
        while line.next is not None and line.next <= now:
            self._start(line.schedule, line.next)
            line.go_on(line.next)

    def _start(self, schedule: Schedule, tick: int) -> None:
        """Record the job of a tick straight in the ledger: no message could be lost, and a second one is the same.

        Raises:
            RedisError: the ledger is away.
        """
        job_id = schedule.job_id(tick)
        fields: dict[str, Any] = {"schedule": schedule.name, "job_id": job_id}
        try:
            body, same = schedule.body(tick), "give all beats the same schedules"
            _, answer = acts.send(self._run, self._app, schedule.workflow, job_id, body, sender=_SENDER, same=same)
        except SettleError as error:  # another beat has other kwargs, say: this tick has its job, or never will
            logger.error("tick_refused", extra={"fields": {**fields, "reason": str(error)}})
        else:
            logger.info("tick_started", extra={"fields": {**fields, "answer": answer.value}})


class TickScheduler(beat.Scheduler):
    """What `celery beat` runs: `celery -A config.celery_app beat -S workflows.schedules.beat:TickScheduler`."""

    def setup_schedule(self) -> None:
        """Read the schedules.

        Raises:
            ConfigurationError: one is wrong.
        """
        run = runtime()
        self._health_file = run.settings.health_file
        self._ticker = Ticker(run, self.app, table.configured(run.settings))

    def tick(self, *_: object, **__: object) -> float:
        """Look once. Returns the seconds until the next look."""
        wait = self._ticker.look()
        if self._health_file is not None:
            self._health_file.touch()
        return wait
