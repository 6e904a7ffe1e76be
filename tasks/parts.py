"""The jobs that a group consists of: recorded batch by batch, so that no lease and no event loop waits for all."""

from __future__ import annotations

from collections.abc import Sequence

from config.fail_points import reach
from config.runtime import Runtime
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance
from jobs.record import Job
from providers.base import Part
from providers.errors import NotSent
from providers.trigger import request_of
from tasks.announce import Announcer
from tasks.intake import new_job, record_all

#: Parts that are recorded between two renewals of the lease.
BATCH = 200


def start_parts(run: Runtime, announcer: Announcer, job: Job, parts: Sequence[Part]) -> list[str]:
    """Record the parts of a job; those that are recorded already stay as they are.

    Returns:
        The ids that belong to other requests, so that their parts could not be recorded.

    Raises:
        NotSent: somebody else has taken the job over, and goes on with it.
    """
    refused: list[str] = []
    for start in range(0, len(parts), BATCH):
        if start and not run.ledger.renew(job, run.settings.lease):
            raise NotSent("the claim was over before all members were recorded")
        batch = []
        for part in parts[start : start + BATCH]:
            try:
                batch.append(
                    new_job(run, part.id, part.workflow, request_of(part.workflow), (), dict(part.kwargs), parent=job)
                )
            except InvalidJob:  # an id too long, deep inside of other groups
                refused.append(part.id)
        answers = record_all(run, announcer, [(job, f"settle.{job.workflow}") for job in batch])
        refused += [made.id for made, answer in zip(batch, answers, strict=True) if answer is Acceptance.CONFLICT]
        reach(run.settings, "group.midway")
    return refused
