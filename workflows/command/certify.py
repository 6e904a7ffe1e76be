"""`settle certify`: hash a file of this machine, and have the hash certified at myIPR. The file itself goes nowhere."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import click

from jobs.measure import measure_local
from jobs.record import check_job_id
from workflows.command import progress, show
from workflows.command.exits import OF_ENDS, Exit
from workflows.command.kinds import Seconds, Tag
from workflows.command.page import LEDGER, Page
from workflows.command.submit import send
from workflows.listing import tags_of

_WORKFLOW = "myipr.certify"


@click.command(
    cls=Page,
    examples=[
        ("settle certify master.wav --category Music --id master-7 --wait", "One file, until its certificate is there"),
        ("settle certify master.wav --category-id 10 --tag shop=7 --json", "For a script"),
    ],
    exits=[*OF_ENDS, Exit.SETUP, Exit.CONFLICT],
    reads=[*LEDGER, "TRACEPARENT"],
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--category", metavar="NAME", help="The name of one of the provider's categories.")
@click.option("--category-id", metavar="ID", help="Or its id.")
@click.option(
    "--name", metavar="TEXT", help="Name of the certificate; made up from the hash and the job's id if not given."
)
@click.option("--id", "job_id", metavar="ID", help="Id of the job, and its idempotency key; a new one if not given.")
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME=VALUE", type=Tag(), help="Your own label; may be given again."
)
@click.option("--deadline", type=Seconds(), help="The job is given up as expired then: seconds, or as in 2h, 7d.")
@click.option("--wait", is_flag=True, help="Wait for the end, and exit by it.")
@show.as_json
def certify(
    path: Path,
    category: str | None,
    category_id: str | None,
    name: str | None,
    job_id: str | None,
    tags: tuple[str, ...],
    deadline: float | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Hash the file at PATH on this machine, and have the hash certified at myIPR.

    Only its SHA-256 and its length are sent. The same --id and file again is the same job.
    """
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app
    from tasks.intake import validate
    from tasks.ways import WORKFLOWS

    app.loader.import_default_modules()
    job_id = check_job_id(job_id or str(uuid.uuid4()))
    options: dict[str, Any] = {"tags": tags_of(tags), "deadline": deadline, "category": category}
    options |= {"category_id": category_id, "name": name}
    given = {key: value for key, value in options.items() if value not in (None, {})}
    request = WORKFLOWS[_WORKFLOW].request
    validate(request, (), {**given, "file": "checked before it is hashed, which may take a while"})
    with progress.bar("hashing", path.stat().st_size if path.is_file() else None) as shown:
        found = measure_local(path, shown.step)
    body = {**given, "hash": found.sha256, "size_bytes": found.size}
    send(app, _WORKFLOW, job_id, body, "the same file and options", wait=wait, as_json=as_json)


COMMANDS = {"certify": certify}
