"""On to the next stage: the rest of a job's chain is published, and one message takes the small files of many jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from celery import current_app

from config.runtime import Runtime
from jobs.record import Job
from jobs.states import JobState
from tasks.ways import WORKFLOWS

logger = logging.getLogger(__name__)

#: The stages that follow a terminal status, each by the state that a job waits for it in.
STAGES = {
    JobState.FETCHING: "settle.fetch",
    JobState.VERIFYING: "settle.verify",
    JobState.EMITTING: "settle.emit",
}

#: Jobs in one message of the fetch stage: what a message costs is then little beside their files.
AT_ONCE = 16


def send_on(run: Runtime, jobs: Iterable[Job], claims: Mapping[str, int] | None = None) -> None:
    """Publish the stage that each job waits for, with the rest of its chain behind it.

    Args:
        run: the runtime.
        jobs: of one provider, in the states of `STAGES`; others are left out.
        claims: under which their stages may begin, if they were claimed.

    Raises:
        OperationalError: the broker is away; jobs that were not published are claimed again after their lease.
    """
    claims = claims or {}
    files = []
    for job in jobs:
        if job.workflow not in WORKFLOWS:
            logger.error("unknown_workflow", extra={"fields": {"job_id": job.id}})
        elif job.state is JobState.FETCHING:
            files.append(job)
        elif job.state in STAGES:
            rest = WORKFLOWS[job.workflow].rest(job.id, STAGES[job.state], claims.get(job.id))
            rest.apply_async(**_family([job]))
    for some in _together(files, run.settings.small_files):
        seqs = {"seqs": [claims[job.id] for job in some]} if claims else {}
        current_app.tasks["settle.fetch"].apply_async(args=tuple(job.id for job in some), kwargs=seqs, **_family(some))


def _family(jobs: Sequence[Job]) -> dict[str, Any]:
    """Under which root Flower shows a message: one about a single job belongs to it, one about many to none."""
    return {"root_id": jobs[0].root or jobs[0].id, "parent_id": jobs[0].id} if len(jobs) == 1 else {}


def _together(jobs: Sequence[Job], most: int) -> Iterator[list[Job]]:
    """Jobs whose files are small together, by the promised lengths; one whose files may be large comes alone."""
    some: list[Job] = []
    weight = 0
    for job in jobs:
        size = promised(job)
        if size is None or size > most:
            yield [job]
            continue
        if some and (weight + size > most or len(some) == AT_ONCE):
            yield some
            some, weight = [], 0
        some.append(job)
        weight += size
    if some:
        yield some


def promised(job: Job) -> int | None:
    """The length of a job's files together, in bytes; none if it is not known of each."""
    sizes = [artifact.size for artifact in job.artifacts]
    return None if None in sizes else sum(size for size in sizes if size is not None)
