"""`settle submit`: trigger a workflow with a JSON body, or with each line of a file."""

from __future__ import annotations

import json
import sys
import uuid
from typing import IO, Any, NoReturn

import click
from celery import Celery

from config.runtime import runtime
from config.settings import callers_trace
from jobs.errors import InvalidJob
from jobs.record import Unreadable
from workflows.command import show
from workflows.command.bulk import run_bulk
from workflows.command.bulk_options import bulk_options, wanted
from workflows.command.exits import OF_ENDS, OF_STATE, Exit
from workflows.command.follow import wait_with_bars
from workflows.command.kinds import Seconds, Tag, Workflow
from workflows.command.page import LEDGER, Page
from workflows.listing import tags_of


def _body(source: IO[str]) -> dict[str, Any]:
    try:
        body = json.load(source)
    except ValueError as error:
        raise InvalidJob(f"input: not JSON ({error.__class__.__name__}); give one JSON object") from None
    if not isinstance(body, dict):
        raise InvalidJob("input: give one JSON object with the workflow's keyword arguments")
    return body


@click.command(
    cls=Page,
    examples=[
        ("settle submit myipr.certify --input certificate.json --id order-4711 --wait", "One job, until its end"),
        ("echo '{\"id\": 17}' | settle submit lettrlabs.delete --input - --tag shop=7", "From a pipe"),
        ("settle submit lettrlabs.convert --input rows.csv --batch 100 --report report.csv", "Each 100 rows one job"),
        ("settle submit commonsdb.declare --input works.jsonl --skip-bad --wait --json", "Each good line one job"),
    ],
    exits=[*OF_ENDS, Exit.SETUP, Exit.CONFLICT, Exit.INTERRUPTED],
    reads=[*LEDGER, "TRACEPARENT"],
)
@click.argument("workflow", type=Workflow())
@click.option(
    "--input",
    "source",
    type=click.File("r", encoding="utf-8"),
    required=True,
    help="JSON file, or - ; or .jsonl or .csv.",
)
@click.option("--id", "job_id", metavar="ID", help="Id of the job, and its idempotency key; a new one if not given.")
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME=VALUE", type=Tag(), help="Your own label; may be given again."
)
@click.option("--deadline", type=Seconds(), help="The job is given up as expired then: seconds, or as in 2h, 7d.")
@click.option("--wait", is_flag=True, help="Wait for the end, and exit by it.")
@show.as_json
@bulk_options
def submit(
    workflow: str,
    source: IO[str],
    job_id: str | None,
    tags: tuple[str, ...],
    deadline: float | None,
    wait: bool,
    as_json: bool,
    **many: Any,
) -> None:
    """Trigger WORKFLOW (for example myipr.certify) with the JSON object in --input.

    The job is recorded when the command returns, whether or not a worker runs. The same --id and input again is the
    same job. The same --id with another input is refused. `tags`, `deadline` and `then` may stand in the object, too:
    see docs/trigger.md.

    A .jsonl or .csv file makes a job of each line, or, where a workflow takes rows, of each --batch of them, with ids
    made from the content. First all lines are checked; with a bad one nothing is sent, unless --skip-bad. The same
    command again, after an interruption say, goes on and repeats nothing. --report is written as it goes: where each
    line stands.
    """
    # Late: the application reads its settings, and `settle --help` needs none.
    from config.celery_app import app
    from tasks.ways import WORKFLOWS
    from workflows.acts import workflow_known

    app.loader.import_default_modules()
    name = workflow_known(workflow)
    bulk = wanted(source.name, job_id, many)
    options: dict[str, Any] = {"tags": tags_of(tags)} if tags else {}
    if deadline is not None:
        options["deadline"] = deadline
    if bulk is not None:
        model = WORKFLOWS[name].request
        sys.exit(run_bulk(runtime(), app, name, model, bulk, options, wait=wait, as_json=as_json))
    body = _body(source)
    send(app, name, job_id or str(uuid.uuid4()), {**body, **options}, "the same input", wait=wait, as_json=as_json)


def send(
    app: Celery, name: str, job_id: str, body: dict[str, Any], same: str, *, wait: bool, as_json: bool
) -> NoReturn:
    """Record one job straight in the ledger, due at once: no message could be lost. Show it, and exit.

    Args:
        app: tells Flower.
        name: of the workflow.
        job_id: of the job.
        body: its keyword arguments, options among them.
        same: what must be the same for the same id.
        wait: whether to wait for its end.
        as_json: whether to show it as JSON.

    Raises:
        JobConflict: the id belongs to another request.
    """
    from workflows import acts

    trace = callers_trace()
    job, _ = acts.send(runtime(), app, name, job_id, body, sender="settle@command", same=same, trace=trace)
    ended = wait_with_bars([job_id], None)[0] if wait else None
    if isinstance(ended, Unreadable):
        raise ended.error()
    job = ended or job
    show.one(job, as_json=as_json)
    sys.exit(OF_STATE.get(job.state, Exit.DONE))


COMMANDS = {"submit": submit}
