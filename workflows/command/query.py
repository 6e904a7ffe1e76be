"""`settle status` and `settle list`: look at jobs."""

from __future__ import annotations

import click

from config.runtime import Runtime, runtime
from jobs import codec
from jobs.errors import JobNotFound
from jobs.search import Place
from workflows.command import show
from workflows.command.exits import Exit
from workflows.command.kinds import JobId, Provider, State, Tag
from workflows.command.page import LEDGER, Page
from workflows.listing import MOST, query


@click.command(
    cls=Page,
    examples=[
        ("settle status order-4711", "What became of a job"),
        ("settle status order-4711 --json | jq .error", "Why it failed, for a script"),
    ],
    exits=[Exit.NOT_FOUND, Exit.SETUP],
    reads=[*LEDGER, "SETTLE_RETENTION"],
)
@click.argument("job_id", metavar="ID", type=JobId())
@show.as_json
def status(job_id: str, as_json: bool) -> None:
    """Show one job with its result, its files and its error.

    The request is never shown. The exit code tells whether the job is there, not how it ended: `settle wait` does that.
    """
    show.one(runtime().ledger.get(job_id), as_json=as_json)


def _place(run: Runtime, job_id: str) -> str:
    """Where a job stands in every listing."""
    found = run.ledger.read([job_id])[0]
    if found is None:
        raise JobNotFound(f"after: no job {job_id!r} in the ledger; give the id of the last job of a page")
    return str(Place(codec.millis(found.created_at), job_id))


@click.command(
    name="list",
    cls=Page,
    examples=[
        ("settle list --state in_doubt --state failed --since 2d", "What needs a person, of the last two days"),
        ("settle list --provider myipr --provider lettrlabs --state unfinished --older-than 1h", "What takes long"),
        ("settle list --tag shop=7 --text order- --limit 1000 --json", "The jobs of one shop, for a script"),
        ("settle list --since 2026-01-31 --until 2026-02-01T12:00", "Created on a day and a half (UTC)"),
        ("settle list --after order-4711", "The next page, as the end of the page before says"),
    ],
    exits=[(Exit.NOT_FOUND, "no job with the id of --after"), Exit.SETUP],
    reads=[*LEDGER, "SETTLE_RETENTION"],
)
@click.option("--provider", "providers", multiple=True, type=Provider(), help="Of this provider; may be given again.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=State(),
    help="In this state, or unfinished, or finished; may be given again.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    type=Tag(),
    help="With this tag; may be given again: with all.",
)
@click.option("--text", default="", metavar="PART", help="With this in the id.")
@click.option("--since", default="", metavar="AGE|TIME", help="Created then or later: 30m, 2h, 7d ago, or a time.")
@click.option("--until", "--older-than", "until", default="", metavar="AGE|TIME", help="Created before: likewise.")
@click.option("--limit", default=50, show_default=True, metavar="N", help=f"At most so many; up to {MOST}.")
@click.option("--after", default="", metavar="ID", type=JobId(), help="Go on after this job: the last of a page.")
@show.as_json
def list_jobs(
    providers: tuple[str, ...],
    states: tuple[str, ...],
    tags: tuple[str, ...],
    text: str,
    since: str,
    until: str,
    limit: int,
    after: str,
    as_json: bool,
) -> None:
    """List jobs, newest first. All that is asked must be true of a job.

    States are those of docs/architecture.md. An age is 90s, 30m, 2h, 7d or 1w; a time is ISO 8601, in UTC if it names
    no zone. If there are more jobs than --limit, a line on standard error says how to go on.

    In a pipe: id, workflow, state, the provider's word, polls and a remark, separated by tabs.
    """
    run = runtime()
    wanted = query(
        run,
        providers=providers,
        states=states,
        tags=tags,
        text=text,
        since=since,
        until=until,
        after=_place(run, after) if after else "",
        limit=limit,
    )
    page = run.ledger.find(wanted)
    show.many(page.rows, as_json=as_json)
    if page.next is not None:
        click.echo(f"settle: there are more: go on with --after {page.next.id}", err=True)


COMMANDS = {"status": status, "list": list_jobs}
