"""The clock: wakes due jobs. It runs on the consumer's timer in every worker of the poll queue.

No scheduler process and no leader: each tick claims atomically, so any number of clocks wake a job once. When nothing
is due it sleeps until something is; the sorted set holds the backlog, the queue only a few bundles.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from celery import Task, current_app
from celery.worker.request import Request as CeleryRequest
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from config import checks, metrics
from config.fail_points import reach
from config.runtime import Runtime
from config.settings import settings
from jobs.errors import SettleError
from jobs.ledger import Bundle, Claim
from jobs.refusals import DOCTOR, refusal
from jobs.states import JobState
from providers.errors import scrub
from tasks.backlog import crowded
from tasks.onward import STAGES, send_on
from tasks.repeat import Repeating

logger = logging.getLogger(__name__)

POLL_QUEUE = "settle.poll"

#: The task that each waiting state is brought to. Bundles are messages of many jobs.
_BUNDLED = {
    JobState.ACCEPTED: "settle.submit",
    JobState.SUBMITTING: "settle.submit",
    JobState.IN_DOUBT: "settle.submit",
    JobState.POLLING: "settle.poll",
}

#: The shortest sleep, seconds: a full bundle means that more is due.
_SHORTEST = 0.005


#: The clock of this process, and the thread that it ticks in.
_ticking: tuple[Clock, int] | None = None


def nudge() -> None:
    """Tell this process's clock, if it has one, that something may be due now, or a bundle more may go out."""
    if _ticking is not None:
        ticking, thread = _ticking
        if thread == threading.get_ident():
            ticking.nudge()
        else:  # from a pool of threads: timers belong to the consumer's
            ticking.nudge_soon()


def last_tick() -> float | None:
    """Seconds since the clock of this process last looked; none if it runs none."""
    return time.monotonic() - _ticking[0].looked_at if _ticking is not None else None


class Request(CeleryRequest):
    """A bundle as the worker's main process sees it: when it is done, the clock looks at once."""

    def acknowledge(self) -> None:
        """Called when the stage has ended."""
        super().acknowledge()
        nudge()


class Bundled(Task):
    """The base of stages that take bundles."""

    Request = "tasks.clock:Request"


def tick(run: Runtime, providers: Sequence[str]) -> float:
    """Claim what is due and publish it. Returns the seconds until the next tick.

    Raises:
        RedisError: the ledger is away. What is refused to one provider is logged, and stops no other.
        OperationalError: the broker is away; what was claimed waits for its lease.
    """
    wait = run.settings.clock_interval
    bundles = run.ledger.claim_all({provider: run.settings.claim_limits(provider) for provider in providers})
    for provider, bundle in bundles.items():
        for job_id in bundle.damaged:
            _tell(run, "record_damaged", {"provider": provider, "job_id": job_id}, "WRONGTYPE")
        try:
            if bundle.error is not None:
                raise ResponseError(bundle.error)
            if bundle.claims:
                reach(run.settings, "clock.after_claim")
                _publish(run, provider, bundle)
        except (RedisError, OperationalError) as error:
            if (reason := refusal(error)) is None:
                raise
            # One provider's trouble: the others go on.
            _tell(run, "claims_refused", {"provider": provider}, reason)
            continue
        run.causes.over(f"claims_refused {provider}")
        if bundle.wait is not None:
            wait = min(wait, bundle.wait)
    return max(wait, _SHORTEST)


def _tell(run: Runtime, what: str, of: dict[str, str], reason: str) -> None:
    """Log what is refused each time until a person mends it: once."""
    if run.causes.news(" ".join((what, *of.values())), reason):
        logger.error(what, extra={"fields": {**of, "reason": scrub(reason), "remedy": DOCTOR}})


def _publish(run: Runtime, provider: str, bundle: Bundle) -> None:
    by_task: defaultdict[str, list[Claim]] = defaultdict(list)
    further = []
    for claim in bundle.claims:
        if claim.state in STAGES:
            further.append(claim)
        else:
            by_task[_BUNDLED[claim.state]].append(claim)
    if further and not crowded(run, provider):
        _resume(run, further)
    if not by_task:
        run.ledger.close_bundle(provider, bundle.name)
    # The bundle counts as outstanding until its largest message is done.
    largest = max(by_task, key=lambda name: len(by_task[name]), default=None)
    for name, claims in by_task.items():
        # A message about one job belongs to it in Flower; one about many belongs to none.
        root: dict[str, Any] = _family(run, claims[0].id) if len(claims) == 1 else {}
        current_app.tasks[name].apply_async(
            args=tuple(claim.id for claim in claims),
            kwargs={
                "seqs": [claim.seq for claim in claims],
                "bundle": bundle.name if name == largest else None,
            },
            headers=metrics.dues(claims),
            **root,
        )


def _resume(run: Runtime, claims: Sequence[Claim]) -> None:
    """Bring back the rest of chains whose message was lost, whose worker died, or whose turn has not come yet."""
    jobs = []
    for claim in claims:
        try:
            jobs.append(run.ledger.get(claim.id))
        except SettleError as error:  # of a newer version, say: its workers take it, and the rest of the bundle goes on
            logger.warning("record_too_new", extra={"fields": {"job_id": claim.id, "reason": str(error)}})
    send_on(run, jobs, {claim.id: claim.seq for claim in claims})


def _family(run: Runtime, job_id: str) -> dict[str, str]:
    """Under which root Flower shows the messages of a job."""
    try:
        return {"root_id": run.ledger.get(job_id).root or job_id, "parent_id": job_id}
    except SettleError:  # the record is of a newer version: whoever reads the message finds that out
        return {"root_id": job_id, "parent_id": job_id}


class Clock(Repeating):
    """The bootstep that runs the clock in workers of the poll queue."""

    what = "clock"
    looked_at = 0.0  #: when it last came to the end of a look, by the machine's count of seconds

    def include_if(self, consumer: Any) -> bool:
        """Only where the poll queue is consumed."""
        return POLL_QUEUE in consumer.app.amqp.queues.consume_from

    def prepare(self, consumer: Any) -> None:
        """Have a ledger of its own, and say so if it may forget jobs."""
        global _ticking
        _ticking, self.looked_at = (self, threading.get_ident()), time.monotonic()
        # Better a missed tick than a long wait.
        self._run = Runtime(settings(), retries=0)
        for finding in checks.reachable(self._run.redis):
            fields = {"what": finding.what, "remedy": finding.remedy}
            refused = finding.level is checks.Level.REFUSED
            logger.log(logging.ERROR if refused else logging.WARNING, "ledger_at_risk", extra={"fields": fields})

    def look(self) -> float:
        """One tick for all providers."""
        wait = tick(self._run, list(self._run.settings.providers()))
        self.looked_at = time.monotonic()
        return wait
