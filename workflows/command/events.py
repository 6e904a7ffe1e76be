"""`settle events`: what happened to jobs, as it happens; in a consumer group nothing is missed."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from datetime import UTC, datetime

import click

from config.runtime import Runtime, runtime
from jobs.errors import InvalidJob
from jobs.events import JobEvent
from jobs.states import TERMINAL
from workflows import events as reading
from workflows.command.exits import Exit
from workflows.command.kinds import JobId, Provider
from workflows.command.page import LEDGER, Page


def _line(event: JobEvent) -> str:
    data = event.data
    when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = [data.word, f"{data.progress} %" if data.progress is not None else None, data.message]
    told.append(data.error.message if data.error is not None else None)
    return "\t".join([when, event.job_id, event.target.value, ", ".join(each for each in told if each)])


def _show(event: JobEvent, *, as_json: bool) -> None:
    """Print it, and see that it is out of our hands."""
    click.echo(event.text() if as_json else _line(event))  # which flushes


@click.command(
    cls=Page,
    examples=[
        ("settle events order-4711 --follow", "One job, until it has ended"),
        ("settle events --follow --group billing --json | billing-import", "All jobs, each event at least once"),
        ("settle events --provider myipr", "What happened at one provider, as far as it is kept"),
    ],
    exits=[Exit.NOT_FOUND, Exit.SETUP],
    reads=LEDGER,
)
@click.argument("job_id", required=False, metavar="[ID]", type=JobId())
@click.option("--follow", is_flag=True, help="Go on with what happens; with an ID until the job has ended.")
@click.option("--group", metavar="NAME", help="Read as this consumer group: each event once printed is done with.")
@click.option("--from", "begin", type=click.Choice(["start", "now"]), help="Where a new group, or --follow, begins.")
@click.option("--provider", "providers", multiple=True, type=Provider(), help="Of this provider; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as in docs/events.schema.json.")
def events(
    job_id: str | None, follow: bool, group: str | None, begin: str | None, providers: tuple[str, ...], as_json: bool
) -> None:
    """Print the events of a job, or of all, oldest first.

    With --group an event is acknowledged when it is printed; whoever dies before leaves it to the next. One process of
    a group reads at a time, the others stand by, so the events of a job stay in order.
    """
    if job_id and (group or providers or begin):
        raise InvalidJob("ID: leave out --group, --provider and --from, they are about the events of all jobs")
    if begin and not (group or follow):
        raise InvalidJob("from: it needs --group or --follow")
    if follow:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # either signal gives the group's lease back
    run = runtime()
    with suppress(KeyboardInterrupt):
        if job_id:
            _of_job(run, job_id, follow=follow, as_json=as_json)
        elif group:
            reading.follow(
                lambda event: _show(event, as_json=as_json),
                group=group,
                providers=providers,
                from_now=begin == "now",
                once=not follow,
                run=run,
            )
        else:
            _of_all(run, providers, follow=follow, begin=begin, as_json=as_json)


def _of_job(run: Runtime, job_id: str, *, follow: bool, as_json: bool) -> None:
    provider = run.ledger.provider_of(job_id)
    places = reading.ends(run, [provider])
    last = 0
    ended = False
    for found in run.ledger.events(provider, job_id):
        event = JobEvent.of_event(provider, found)
        _show(event, as_json=as_json)
        last, ended = event.seq, event.target in TERMINAL
    if not follow or ended:
        return
    for event in reading.news(run, places, threading.Event(), [provider]):
        if event.job_id == job_id and event.seq > last:
            _show(event, as_json=as_json)
            if event.target in TERMINAL:
                return


def _of_all(run: Runtime, providers: tuple[str, ...], *, follow: bool, begin: str | None, as_json: bool) -> None:
    places = reading.ends(run, providers) if begin == "now" else {}
    if begin != "now":
        for event in reading.history(run, providers, until=places):
            _show(event, as_json=as_json)
    if follow:
        for event in reading.news(run, places, threading.Event(), providers):
            _show(event, as_json=as_json)


COMMANDS = {"events": events}
