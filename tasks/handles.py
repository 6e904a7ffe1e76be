"""Which job each of a provider's own names means, for notifications that know no id of ours.

Kept beside the record, and only where a provider declares such notifications: one that is missing costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from config.runtime import Runtime
from jobs.record import Job
from jobs.states import JobState
from providers import discover


def keep(run: Runtime, jobs: Iterable[Job]) -> None:
    """Remember the names of jobs that are polled from now on, until the last of their deadlines.

    Raises:
        RedisError: the ledger is away.
    """
    by_provider: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.state is JobState.POLLING and (job.receipt or {}).get("remote_id"):
            by_provider[job.provider].append(job)
    for name, polled in by_provider.items():
        notification = discover()[name].notification if name in discover() else None
        if notification is not None and notification.by_remote_id:
            handles = {str((job.receipt or {})["remote_id"]): job.id for job in polled}
            run.ledger.keep_handles(name, handles, max(job.deadline_at for job in polled))
