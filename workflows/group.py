"""Groups: many jobs, and one outcome for all."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.poll import poll
from tasks.submit import submit
from tasks.ways import workflow


@workflow("group")
def group(job_id: str) -> Signature:
    """Run jobs side by side: `settle.group(jobs=[{workflow, kwargs, …}, …], success="all")`."""
    return submit.si(job_id) | poll.si(job_id) | emit.si(job_id)
