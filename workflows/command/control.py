"""`settle resolve`, `pause`, `resume`, `cancel` and `replay`: what a person can do about a job, or a provider."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from config.runtime import Runtime, runtime
from jobs.errors import IllegalMove, InvalidJob
from jobs.links import GROUP
from jobs.record import Failure, Job, Move
from jobs.states import JobState, Wish
from tasks.announce import Announcer
from workflows.command import Exit, show

S = JobState

#: A provider that a person paused stays so until a person resumes it, seconds.
_UNTIL_RESUMED = 10 * 365 * 86400.0
#: A job that is being sent at the moment can be acted on as soon as its answer is there, seconds.
_PATIENCE = 60.0


def change(run: Runtime, announcer: Announcer, job_id: str, decide: Callable[[Job, float], Move]) -> Job:
    """Make one move in a person's name. Whatever was under way for the job loses its claim.

    Args:
        run: the runtime.
        announcer: tells who waits.
        job_id: the job.
        decide: the move for the job as it stands, and the time.

    Raises:
        JobNotFound: no such job.
        IllegalMove: the job is somewhere where this cannot be done.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        job = run.ledger.get(job_id)
        if job.state is not S.SUBMITTING:
            move = decide(job, run.clock.now())
            written = run.ledger.write([move.announced(announcer.announcement(move.after))])[0]
            if written is not None:
                announcer.to_flower([written])
                return written
        elif time.monotonic() > end:
            raise IllegalMove(f"job {job_id} is being sent at the moment: try again when its answer is there")
        time.sleep(0.1)


def _act(job_id: str, decide: Callable[[Job, float], Move], *, as_json: bool) -> None:
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app

    job = change(runtime(), Announcer(app, "settle@command"), job_id, decide)
    show.one(job, as_json=as_json)


def _unfinished(job: Job) -> None:
    if job.finished:
        raise IllegalMove(f"job {job.id} is finished: {job.state}")


def cancelling(job: Job, now: float) -> Move:
    """Cancel a job at its next stage, which is due at once."""
    _unfinished(job)
    return job.stay(now=now, due_at=now, wish=Wish.CANCEL, attempts=0)


def pausing(job: Job, now: float) -> Move:
    """Leave a job alone until its deadline, or until it is resumed."""
    _unfinished(job)
    return job.stay(now=now, due_at=max(job.deadline_at, now), wish=Wish.PAUSE)


def resuming(run: Runtime, deadline: float | None) -> Callable[[Job, float], Move]:
    """Go on with a paused job, or reopen an expired one with a new deadline."""

    def decide(job: Job, now: float) -> Move:
        longer = deadline or run.settings.providers()[job.provider].deadline
        if job.state is S.EXPIRED:
            if job.receipt is not None:
                state = S.POLLING
            elif job.request is None:
                raise IllegalMove(f"job {job.id}: its request is gone; trigger it again under a new id")
            else:
                state = S.IN_DOUBT if job.intent is not None else S.ACCEPTED
            return job.reopen(state, now=now, due_at=now, deadline_at=now + longer)
        if job.wish is not Wish.PAUSE:
            raise IllegalMove(f"job {job.id} is neither paused nor expired: {job.state}")
        end = now + deadline if deadline else job.deadline_at
        return job.stay(now=now, due_at=now, wish=None, deadline_at=end)

    return decide


def replaying(run: Runtime) -> Callable[[Job, float], Move]:
    """Fetch and verify the files of a failed job again, or look again at the members of a failed group."""

    def decide(job: Job, now: float) -> Move:
        if job.state is not S.FAILED or not (job.artifacts or (job.provider == GROUP and job.receipt)):
            raise IllegalMove(f"job {job.id} has no failed stage after its polls to be replayed: {job.state}")
        end = now + run.settings.providers()[job.provider].deadline
        return job.reopen(S.FETCHING if job.artifacts else S.POLLING, now=now, due_at=now, deadline_at=end)

    return decide


def resolving(remote_id: str | None, *, resubmit: bool) -> Callable[[Job, float], Move]:
    """End a doubt: the provider has it under this id, or has nothing (send it again), or give up."""

    def decide(job: Job, now: float) -> Move:
        if job.state is not S.IN_DOUBT:
            raise IllegalMove(f"job {job.id} is not in doubt: {job.state}")
        if remote_id is not None:
            receipt = {"remote_id": remote_id}
            return job.to(S.POLLING, now=now, due_at=now, receipt=receipt, submitted_at=now, request=None, attempts=0)
        if resubmit:
            return job.stay(now=now, due_at=now, wish=Wish.RESUBMIT)
        failure = Failure("given_up", "in doubt, and given up by a person: the remote outcome is unknown")
        return job.to(S.FAILED, now=now, failure=failure, request=None)

    return decide


_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
_JOB = click.argument("job_id", metavar="ID")


@click.command()
@_JOB
@click.option("--remote-id", help="The provider has it, under this id: go on polling.")
@click.option("--resubmit", is_flag=True, help="The provider certainly has nothing: send it again.")
@click.option("--fail", "give_up", is_flag=True, help="Give it up.")
@_JSON
def resolve(job_id: str, remote_id: str | None, resubmit: bool, give_up: bool, as_json: bool) -> None:
    """End the doubt about a job whose submission got no answer. Look at the provider first."""
    if sum((remote_id is not None, resubmit, give_up)) != 1:
        raise InvalidJob("give exactly one of --remote-id, --resubmit and --fail")
    _act(job_id, resolving(remote_id, resubmit=resubmit), as_json=as_json)


@click.command()
@_JOB
@_JSON
def cancel(job_id: str, as_json: bool) -> None:
    """Cancel a job at any stage, and take it back at the provider where that has a way."""
    _act(job_id, cancelling, as_json=as_json)


@click.command()
@_JOB
@_JSON
def replay(job_id: str, as_json: bool) -> None:
    """Fetch and verify the files of a failed job again."""
    _act(job_id, replaying(runtime()), as_json=as_json)


def _which(job_id: str | None, provider: str | None) -> None:
    if (job_id is None) == (provider is None):
        raise InvalidJob("give either a job's id or --provider")
    known = runtime().settings.providers()
    if provider is not None and provider not in known:
        raise InvalidJob(f"provider: {provider!r} is not one of {', '.join(known)}")


def _provider(name: str, verb: str) -> None:
    click.echo(f"{name}: {verb}")
    sys.exit(Exit.DONE)


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--provider", help="All jobs of this provider, new ones too.")
@click.option("--for", "seconds", type=float, help="With --provider: so many seconds only.")
@_JSON
def pause(job_id: str | None, provider: str | None, seconds: float | None, **options: Any) -> None:
    """Leave a job, or a whole provider, alone until it is resumed. A paused job still ends at its deadline."""
    _which(job_id, provider)
    if provider is not None:
        runtime().ledger.pause(provider, seconds or _UNTIL_RESUMED)
        _provider(provider, "paused")
    _act(str(job_id), pausing, **options)


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--provider", help="Open this provider's gate, whatever closed it.")
@click.option("--deadline", type=float, help="A new deadline, seconds from now.")
@_JSON
def resume(job_id: str | None, provider: str | None, deadline: float | None, **options: Any) -> None:
    """Go on with a paused job or provider, or reopen an expired job with a new deadline."""
    _which(job_id, provider)
    if provider is not None:
        runtime().ledger.open_gate(provider)
        _provider(provider, "open")
    _act(str(job_id), resuming(runtime(), deadline), **options)


COMMANDS = {"resolve": resolve, "pause": pause, "resume": resume, "cancel": cancel, "replay": replay}
