"""Many jobs in one call, for Python callers that run with Settle's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.runtime import runtime
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance
from jobs.record import check_job_id
from tasks.announce import Announcer
from tasks.intake import new_job, record_all, validate
from tasks.ways import WORKFLOWS

#: Jobs per round trip.
_AT_ONCE = 100


def submit_many(workflow: str, requests: Mapping[str, Mapping[str, Any]]) -> dict[str, Acceptance]:
    """Record many jobs of one workflow, straight in the ledger: they are safe when the call returns.

    All requests are looked at before the first is recorded. A call that broke off may be made again as it was: what is
    recorded already is `SAME`.

    Args:
        workflow: its name, as in `myipr.certify`.
        requests: the keyword arguments of each job by its id, `tags` and `deadline` among them.

    Returns:
        What became of each id: `CREATED`, `SAME`, or `CONFLICT` if it belongs to another request.

    Raises:
        InvalidJob: there is no such workflow, or a request can never work; nothing was recorded.
        ConfigurationError: no Redis is configured.
        RedisError: the ledger is away; some jobs may be recorded.
    """
    from config.celery_app import app  # late: it reads the settings

    app.loader.import_default_modules()
    name = workflow.removeprefix("settle.")
    if name not in WORKFLOWS:
        raise InvalidJob(f"workflow: {name!r} is not one of {', '.join(sorted(WORKFLOWS))}")
    run, model = runtime(), WORKFLOWS[name].request
    for job_id, request in requests.items():
        check_job_id(job_id)
        try:
            validate(model, (), request, allowed=run.settings.link_queues)
        except InvalidJob as error:
            raise InvalidJob(f"{job_id}: {error}") from None
    announcer = Announcer(app, "settle@bulk")
    found: dict[str, Acceptance] = {}
    ids = list(requests)
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        jobs = [new_job(run, job_id, name, model, (), dict(requests[job_id]), here=False) for job_id in some]
        answers = record_all(run, announcer, [(job, f"settle.{name}") for job in jobs])
        found |= dict(zip(some, answers, strict=True))
    return found
