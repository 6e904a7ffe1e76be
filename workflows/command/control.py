"""`settle resolve`, `pause`, `resume`, `cancel` and `replay`: what a person can do about a job, or a provider."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from config.runtime import runtime
from jobs.errors import InvalidJob
from tasks.announce import Announcer
from workflows import acts
from workflows.acts import Decide, cancelling, change, pausing, replaying, resolving, resuming
from workflows.command import shapes, show
from workflows.command.exits import Exit
from workflows.command.kinds import JobId, Provider, Seconds
from workflows.command.page import LEDGER, Page


def _act(job_id: str, decide: Decide, *, as_json: bool) -> None:
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app

    job = change(runtime(), Announcer(app, "settle@command"), job_id, decide)
    show.one(job, as_json=as_json)


def _command(*examples: tuple[str, str]) -> Callable[[Callable[..., None]], click.Command]:
    """What the pages of all these have in common."""
    exits = [Exit.NOT_FOUND, Exit.SETUP, Exit.CONFLICT]
    return click.command(cls=Page, examples=examples, exits=exits, reads=LEDGER)


_JOB = click.argument("job_id", metavar="ID", type=JobId())
_MAYBE = click.argument("job_id", metavar="[ID]", required=False, type=JobId())


@_command(
    ("settle resolve order-4711 --remote-id 58213", "You found it at the provider, under this id"),
    ("settle resolve order-4711 --resubmit", "The provider certainly has nothing"),
)
@_JOB
@click.option("--remote-id", metavar="ID", help="The provider has it, under this id: go on polling.")
@click.option("--resubmit", is_flag=True, help="The provider certainly has nothing: send it again.")
@click.option("--fail", "give_up", is_flag=True, help="Give it up.")
@show.as_json
def resolve(job_id: str, remote_id: str | None, resubmit: bool, give_up: bool, as_json: bool) -> None:
    """End the doubt about a job whose submission got no answer. Look at the provider first.

    A job in doubt is never sent again by itself: there is money or a public record behind it.
    """
    if sum((remote_id is not None, resubmit, give_up)) != 1:
        raise InvalidJob("give exactly one of --remote-id, --resubmit and --fail")
    _act(job_id, resolving(remote_id, resubmit=resubmit), as_json=as_json)


@_command(("settle cancel order-4711", "End a job, wherever it is"))
@_JOB
@show.as_json
def cancel(job_id: str, as_json: bool) -> None:
    """Cancel a job at any stage, and take it back at the provider where that has a way.

    It ends at its next stage, which is due at once; what follows it in its chain is not started.
    """
    _act(job_id, cancelling, as_json=as_json)


@_command(("settle replay order-4711", "The provider has mended the file"))
@_JOB
@show.as_json
def replay(job_id: str, as_json: bool) -> None:
    """Fetch and verify the files of a failed job again; a failed group looks again at its members.

    Nothing is submitted again.
    """
    _act(job_id, replaying(runtime()), as_json=as_json)


def _which(job_id: str | None, provider: str | None) -> None:
    if (job_id is None) == (provider is None):
        raise InvalidJob("give either a job's id or --provider")


def _provider(name: str, verb: str, *, as_json: bool) -> None:
    found = runtime().ledger.overview([name])[0]
    click.echo(shapes.Provider.of(found).text() if as_json else f"{name}: {verb}")
    sys.exit(Exit.DONE)


@_command(
    ("settle pause order-4711", "One job"),
    ("settle pause --provider myipr --for 2h", "A provider, for its maintenance"),
)
@_MAYBE
@click.option("--provider", type=Provider(), help="All jobs of this provider, new ones too.")
@click.option("--for", "seconds", type=Seconds(), help="With --provider: for so long only; seconds, or as in 30m, 2h.")
@show.as_json
def pause(job_id: str | None, provider: str | None, seconds: float | None, as_json: bool) -> None:
    """Leave a job, or a whole provider, alone until it is resumed.

    A paused job still ends at its deadline. While a provider is paused its jobs are accepted and wait.
    """
    _which(job_id, provider)
    if provider is not None:
        acts.pause_provider(runtime(), provider, seconds)
        _provider(provider, "paused", as_json=as_json)
    if seconds is not None:
        raise InvalidJob("--for: is for --provider; a job is paused until settle resume")
    _act(str(job_id), pausing, as_json=as_json)


@_command(
    ("settle resume order-4711", "A paused job"),
    ("settle resume order-4711 --deadline 1d", "An expired job, for a day more"),
    ("settle resume --provider myipr", "A provider, whatever paused it"),
)
@_MAYBE
@click.option("--provider", type=Provider(), help="Open this provider's gate, whatever closed it.")
@click.option("--deadline", type=Seconds(), help="A new deadline from now: seconds, or as in 2h, 7d.")
@show.as_json
def resume(job_id: str | None, provider: str | None, deadline: float | None, as_json: bool) -> None:
    """Go on with a paused job or provider, or reopen an expired job with a new deadline."""
    _which(job_id, provider)
    if provider is not None:
        if deadline is not None:
            raise InvalidJob("--deadline: is for a job; leave it out with --provider")
        acts.resume_provider(runtime(), provider)
        _provider(provider, "open", as_json=as_json)
    _act(str(job_id), resuming(runtime(), deadline), as_json=as_json)


COMMANDS = {"resolve": resolve, "pause": pause, "resume": resume, "cancel": cancel, "replay": replay}
