"""`settle status` and `settle list`: look at jobs."""

from __future__ import annotations

import click

from config.runtime import runtime
from jobs.errors import InvalidJob
from jobs.states import JobState
from workflows.command import show


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def status(job_id: str, as_json: bool) -> None:
    """Show one job with its result, its files and its error."""
    show.one(runtime().ledger.get(job_id), as_json=as_json)


@click.command(name="list")
@click.option("--provider", help="Of this provider only.")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="In this state only.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_jobs(provider: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the latest jobs, newest first."""
    run = runtime()
    known = list(run.settings.providers())
    if provider is not None and provider not in known:
        raise InvalidJob(f"provider: {provider!r} is not one of {', '.join(known)}")
    wanted = JobState(state) if state else None
    jobs = [job for name in ([provider] if provider else known) for job in run.ledger.jobs(name, wanted, limit)]
    jobs.sort(key=lambda job: job.created_at, reverse=True)
    show.many(jobs[:limit], as_json=as_json)


COMMANDS = {"status": status, "list": list_jobs}
