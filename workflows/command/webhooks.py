"""`settle webhooks`: deliver events to webhooks and downstream tasks, and see to what could not be delivered."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
import uvloop

from config.logs import configure
from config.runtime import Runtime, runtime
from config.settings import settings
from config.targets import DownstreamSettings, WebhookSettings
from config.targets import Target as Told
from jobs.errors import InvalidJob, JobNotFound
from jobs.outbox import Outbox, names
from workflows import deliveries
from workflows.command import shapes, show
from workflows.command.exits import Exit
from workflows.command.kinds import JobId, Target
from workflows.command.page import LEDGER, Book, Page
from workflows.deliveries import Answer, Result

_READS = ("SETTLE_WEBHOOKS__NAME__URL", "SETTLE_DOWNSTREAM__NAME__TASK", *LEDGER)


def _command(*examples: tuple[str, str], exits: Sequence[Exit | tuple[Exit, str]] = ()) -> dict[str, Any]:
    """What the pages of all these have in common."""
    return {"cls": Page, "examples": examples, "exits": [Exit.SETUP, *exits], "reads": _READS}


@click.group(
    cls=Book,
    examples=[
        ("settle webhooks run", "Deliver, as the process of the Procfile does"),
        ("settle webhooks list", "Who is told, how much waits, how much was given up"),
        ("settle webhooks replay --all", "Deliver again what was given up"),
    ],
    exits=[Exit.SETUP],
    reads=_READS,
)
def webhooks() -> None:
    """Deliver events to webhooks and downstream tasks; see what waits, and replay what was given up.

    docs/events.md tells how to name them in the settings, and what they are told.
    """


@webhooks.command(**_command(("settle webhooks run", "Deliver until it is told to stop")))
def run() -> None:
    """Deliver events until SIGTERM or Ctrl-C.

    Any number of these processes may run. What is on its way is waited for; what was not delivered stays in Redis.
    """
    # Late: who delivers needs all of it, who looks at a list does not.
    from workflows.deliveries.runner import Runner

    own = settings()
    configure(own.log_level)
    app = None
    if own.downstream:
        from config.celery_app import app as celery

        app = celery
    runner = Runner(Runtime(own, retries=0), app)

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        click.echo(f"delivering to {', '.join(deliveries.targets(runtime())) or 'nobody'}", err=True)
        await runner.run(stop)

    uvloop.run(until_told())


@webhooks.command(name="list", **_command(("settle webhooks list", "One line for each target")))
@show.as_json
def list_targets(as_json: bool) -> None:
    """List who is told of events, how many deliveries wait, and how many were given up.

    A target that is no longer configured is listed for as long as something waits for it.
    """
    for outbox in _outboxes(None):
        told = _target(outbox)
        if as_json:
            click.echo(told.text())
        else:
            parts = [told.target, told.where, told.state, f"{told.waiting} waiting", f"{told.dead} given up"]
            click.echo("\t".join([*parts, f"{told.delivered} delivered"]))


def _target(outbox: Outbox) -> shapes.Target:
    """A target as it stands."""
    run, standing = runtime(), outbox.standing()
    known = deliveries.targets(run).get(outbox.name)
    state = "disabled" if standing.disabled_at else "paused" if standing.paused_until > run.clock.now() else "open"
    if known is None:
        state = "not configured"
    told = {"target": outbox.name, "where": _where(known), "state": state, **asdict(standing)}
    return shapes.Target.model_validate(told)


def _where(target: Told | None) -> str:
    """Where it goes, without the path, which may hold a secret."""
    if isinstance(target, WebhookSettings):
        return f"{target.url.scheme}://{target.url.host}"
    return f"{target.task} in {target.queue}" if isinstance(target, DownstreamSettings) else ""


def _outboxes(only: str | None) -> list[Outbox]:
    """Of the target that is named, else of all.

    Raises:
        InvalidJob: there is no such target.
    """
    run = runtime()
    known = sorted({*deliveries.targets(run), *names(run.redis)})
    if only is not None and only not in known:
        raise InvalidJob(f"target: {only!r} is not one of {', '.join(known) or 'none: no target is configured'}")
    return [deliveries.outbox(run, name) for name in ([only] if only else known)]


@webhooks.command(**_command(("settle webhooks dead shop", "What one target did not take")))
@click.argument("target", required=False, metavar="[TARGET]", type=Target())
@show.as_json
def dead(target: str | None, as_json: bool) -> None:
    """List the deliveries that were given up, oldest first.

    They are kept for SETTLE_RETENTION.
    """
    for outbox in _outboxes(target):
        for letter in outbox.letters():
            event, when = letter.event, datetime.fromtimestamp(letter.died_at, UTC).isoformat(timespec="seconds")
            fields = {"target": outbox.name, "job_id": event.job_id, "type": event.type, "id": event.id}
            if as_json:
                told = {**fields, "died_at": letter.died_at, "tries": letter.tries, "reason": letter.reason}
                click.echo(shapes.Letter.model_validate(told).text())
            else:
                click.echo("\t".join([*fields.values(), when, f"{letter.tries} tries", letter.reason]))


@webhooks.command(
    **_command(
        ("settle webhooks replay order-4711", "What was given up of one job"),
        ("settle webhooks replay --all --target shop", "All that one target did not take"),
        exits=[(Exit.NOT_FOUND, "nothing of this job was given up")],
    )
)
@click.argument("job_ids", nargs=-1, metavar="[ID…]", type=JobId())
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--target", metavar="NAME", type=Target(), help="To this target only.")
@show.as_json
def replay(job_ids: tuple[str, ...], everything: bool, target: str | None, as_json: bool) -> None:
    """Deliver again what was given up: of these jobs, or all.

    It goes behind what waits of the same job.
    """
    if everything == bool(job_ids):
        raise InvalidJob("ID: give the ids of jobs, or --all")
    outboxes = [(outbox, outbox.letters()) for outbox in _outboxes(target)]
    if missing := set(job_ids) - {letter.event.job_id for _, letters in outboxes for letter in letters}:
        raise JobNotFound(f"no delivery of {min(missing)!r} was given up: see settle webhooks dead")
    found = 0
    for outbox, letters in outboxes:
        again = outbox.replay([letter for letter in letters if everything or letter.event.job_id in job_ids])
        found += again
        if as_json:
            click.echo(shapes.Replayed(target=outbox.name, replayed=again).text())
    if not as_json:
        click.echo(f"{found} deliveries wait for their turn")


@webhooks.command(**_command(("settle webhooks enable shop", "It is there again")))
@click.argument("target", type=Target())
@show.as_json
def enable(target: str, as_json: bool) -> None:
    """Deliver again to a target that said it is gone, or that wants to be left alone.

    An endpoint says it is gone with 410; with 429 or 503 and Retry-After it wants to be left alone.
    """
    (outbox,) = _outboxes(target)
    changed = outbox.enable()
    if as_json:
        click.echo(_target(outbox).text())
    else:
        click.echo(f"{target} is enabled" if changed else f"{target} was neither disabled nor paused")


@webhooks.command(**_command(("settle webhooks forget shop", "It is no longer configured")))
@click.argument("target", type=Target("left over"))
@show.as_json
def forget(target: str, as_json: bool) -> None:
    """Forget a target that is no longer configured, with all that waits for it.

    One that is configured is refused.
    """
    (outbox,) = _outboxes(target)
    if target in deliveries.targets(runtime()):
        raise InvalidJob(f"target: {target!r} is configured; take it out of the settings of the process first")
    lost = outbox.standing()
    outbox.forget()
    told = shapes.Forgotten(target=target, waiting=lost.waiting, dead=lost.dead)
    click.echo(told.text() if as_json else f"{target} is forgotten")


@webhooks.command(
    **_command(("settle webhooks test shop", "Whether it takes it"), exits=[(Exit.FAILED, "it was not taken")])
)
@click.argument("target", type=Target("webhook"))
@show.as_json
def test(target: str, as_json: bool) -> None:
    """Post a signed event of type settle.test to a webhook, once.

    It names no job. What the endpoint answered is printed.
    """
    from workflows.deliveries.webhook import WebhookCarrier

    run = runtime()
    found = run.settings.webhooks.get(target)
    if found is None:
        known = ", ".join(run.settings.webhooks) or "none: no webhook is configured"
        raise InvalidJob(f"target: {target!r} is not one of {known}")
    carrier = WebhookCarrier(found, run.clock)
    now = datetime.fromtimestamp(run.clock.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = json.dumps({"type": "settle.test", "timestamp": now, "data": {"target": target}})

    async def post() -> Answer:
        try:
            return await carrier.post(f"test:{secrets.token_hex(8)}", body)
        finally:
            await carrier.close()

    answer = asyncio.run(post())
    told = shapes.Trial(target=target, result=answer.result.value, reason=answer.reason)
    click.echo(told.text() if as_json else f"{target}: {answer.reason}")
    sys.exit(Exit.DONE if answer.result is Result.SENT else Exit.FAILED)


COMMANDS = {"webhooks": webhooks}
