"""`settle restored`: after Redis came back from a copy, and before a worker starts.

What happened after the copy was made is forgotten: a job that it shows as waiting may have been sent since. Nothing is
sent again unless the provider was asked, or a person says so.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click
from pydantic import ValidationError

from config import servers
from config.runtime import Runtime, runtime
from jobs.errors import ConfigurationError, IllegalMove, InvalidJob
from jobs.inbox import Inbox
from jobs.record import Failure, Job, Move
from jobs.states import JobState, Wish
from tasks.announce import Announcer
from tasks.receive import INTAKE_QUEUE, receive
from workflows.command import progress, shapes, show
from workflows.command.exits import Exit
from workflows.command.page import LEDGER, Page

S = JobState

#: What becomes of a job.
ASKED, PERSON, PAUSED, GOES_ON = "the provider is asked", "waits for settle resolve", "paused", "goes on"

_UNSENT = (S.ACCEPTED, S.SUBMITTING, S.IN_DOUBT)

#: More jobs than any ledger holds.
_ALL = 1_000_000_000

SENT = Failure(
    "restored",
    "Redis was restored from a copy: this job may have been sent since the copy was made",
    "look at the provider, then settle resolve",
)
STARTED = Failure(
    "restored",
    "Redis was restored from a copy: what follows this job may have been started since the copy was made",
    "look at what follows it, then settle resume, or settle cancel",
)


def receive_all(run: Runtime, announcer: Announcer) -> None:
    """Make jobs of the triggers that wait in the copy: some of them became jobs, and were sent, after it was made.

    Raises:
        IllegalMove: some are still held by whoever had taken them.
    """
    url = run.settings.broker()
    if not servers.redis_like(url):
        return  # another broker was not restored: what waits there was never received
    with servers.client(run.settings, url, decode_responses=True) as broker:
        inbox = Inbox(broker, INTAKE_QUEUE, lease=run.settings.lease, clock=run.clock)
        end = time.monotonic() + run.settings.lease + 5
        while receive(run, inbox, announcer) or inbox.held():
            if time.monotonic() > end:
                raise IllegalMove(f"triggers of {INTAKE_QUEUE} are still held: stop all workers, and try again")
            time.sleep(0.05)


def unfinished(run: Runtime) -> Iterator[Job]:
    """Every job that is not finished."""
    for name in run.settings.providers():
        yield from (job for job in run.ledger.jobs(name, None, _ALL) if not job.finished)


def doubt(run: Runtime, announcer: Announcer, job: Job) -> str:
    """Keep an unfinished job from being sent, or from starting what follows it, twice. Returns what becomes of it.

    Raises:
        IllegalMove: somebody else moved it: a worker runs.
    """
    now = run.clock.now()
    if job.wish is Wish.CANCEL:
        return GOES_ON
    if job.state not in _UNSENT:
        if not job.then:
            return GOES_ON  # looked at, fetched and told again, which changes nothing at the provider
        _write(run, announcer, job.stay(now=now, due_at=max(job.deadline_at, now), failure=STARTED, wish=Wish.PAUSE))
        return PAUSED
    intent = _intent(run, job)
    due, wish = (now, None) if intent is not None else (max(job.deadline_at, now), Wish.PAUSE)
    if job.state is S.ACCEPTED:  # the table knows no shorter way into doubt
        sending = job.to(S.SUBMITTING, now=now, due_at=now + run.settings.lease, intent=intent)
        job = _write(run, announcer, sending)
    if job.state is S.IN_DOUBT:
        _write(run, announcer, job.stay(now=now, due_at=due, failure=SENT, wish=wish))
    else:
        _write(run, announcer, job.to(S.IN_DOUBT, now=now, due_at=due, failure=SENT, wish=wish))
    return PERSON if intent is None else ASKED


def _intent(run: Runtime, job: Job) -> Mapping[str, Any] | None:
    """What the provider can be asked with; none if what was sent since cannot be found with it."""
    try:
        operation = run.provider(job.provider).operation(job.workflow.partition(".")[2])
        if not operation.asks_without_ledger or (operation.source and (job.request or {}).get(operation.source)):
            return None
        return job.intent or operation.intent(operation.request.model_validate(dict(job.request or {})), job.id)
    except (ConfigurationError, InvalidJob, LookupError, ValidationError):
        return None


def _write(run: Runtime, announcer: Announcer, move: Move) -> Job:
    written = run.ledger.write([move.announced(announcer.announcement(move.after))])[0]
    if written is None:
        raise IllegalMove(f"job {move.before.id} was moved by somebody else: stop all workers, and try again")
    return written


@click.command(
    cls=Page,
    examples=[
        ("settle restored", "With the workers' environment, and all workers stopped"),
        ("settle restored --json > fates.jsonl", "And keep what became of each job"),
    ],
    exits=[Exit.SETUP, (Exit.CONFLICT, "workers run, or somebody moves jobs: stop them, and try again")],
    reads=[*LEDGER, "SETTLE_BROKER_URL"],
)
@show.as_json
def restored(as_json: bool) -> None:
    """After Redis came back from a copy: nothing is sent a second time. Run it before any worker starts.

    Jobs that may have been sent since the copy are put in doubt: the provider is asked, where that is enough, else they
    wait for settle resolve. Jobs with links that may have been started since are paused.
    """
    from config.celery_app import app

    if app.control.ping(timeout=2.0):
        raise IllegalMove("workers are running: stop all of them first")
    app.loader.import_default_modules()
    run, announcer = runtime(), Announcer(app, "settle@command")
    receive_all(run, announcer)
    fates: Counter[str] = Counter()
    waiting = list(unfinished(run))
    with progress.bar("jobs", len(waiting)) as shown:
        for job in waiting:
            fate = doubt(run, announcer, job)
            fates[fate] += 1
            shown.step()
            if as_json:
                shown.say(shapes.Fate(job_id=job.id, workflow=job.workflow, was=job.state, fate=fate).text())
            elif fate in (PERSON, PAUSED):
                shown.say(f"{job.id}  {job.workflow}  {fate}")
    if not as_json:
        click.echo(", ".join(f"{number} {fate}" for fate, number in sorted(fates.items())) or "no unfinished jobs")
    run.close()
    sys.exit(Exit.DONE)


COMMANDS = {"restored": restored}
