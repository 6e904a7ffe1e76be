"""`settle resolve`, `pause`, `resume`, `cancel` and `replay`: what a person can do about a job, or a provider."""

from __future__ import annotations

import sys
from typing import Any

import click

from config.runtime import runtime
from jobs.errors import InvalidJob
from tasks.announce import Announcer
from workflows import acts
from workflows.acts import Decide, cancelling, change, pausing, replaying, resolving, resuming
from workflows.command import Exit, show


def _act(job_id: str, decide: Decide, *, as_json: bool) -> None:
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app

    job = change(runtime(), Announcer(app, "settle@command"), job_id, decide)
    show.one(job, as_json=as_json)


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
        acts.pause_provider(runtime(), provider, seconds)
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
        acts.resume_provider(runtime(), provider)
        _provider(provider, "open")
    _act(str(job_id), resuming(runtime(), deadline), **options)


COMMANDS = {"resolve": resolve, "pause": pause, "resume": resume, "cancel": cancel, "replay": replay}
