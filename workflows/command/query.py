"""`settle status` and `settle list`: look at jobs."""

from __future__ import annotations

import click

from config.runtime import runtime
from jobs.states import JobState
from workflows.command import show
from workflows.listing import GROUPS, query


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def status(job_id: str, as_json: bool) -> None:
    """Show one job with its result, its files and its error."""
    show.one(runtime().ledger.get(job_id), as_json=as_json)


@click.command(name="list")
@click.option("--provider", help="Of this provider only.")
@click.option("--state", type=click.Choice([*(state.value for state in JobState), *GROUPS]), help="In this state only.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="With this tag; may be given again.")
@click.option("--text", default="", help="With this in the id.")
@click.option("--since", default="", metavar="AGE|TIME", help="Created since: 30m, 2h, 7d ago, or a time.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_jobs(
    provider: str | None, state: str | None, tags: tuple[str, ...], text: str, since: str, limit: int, as_json: bool
) -> None:
    """List the latest jobs, newest first."""
    run = runtime()
    providers, states = [provider] if provider else [], [state] if state else []
    wanted = query(run, providers=providers, states=states, tags=tags, text=text, since=since, limit=limit)
    show.many(run.ledger.find(wanted).jobs, as_json=as_json)


COMMANDS = {"status": status, "list": list_jobs}
