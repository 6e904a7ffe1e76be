"""CommonsDB: declare a work."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.poll import poll
from tasks.submit import submit
from tasks.ways import workflow


@workflow("commonsdb.declare")
def declare(job_id: str) -> Signature:
    """Declare a work: `settle.commonsdb.declare(metadata={…}, registry={…}|None)`, or `(declaration={…signed…})`."""
    return submit.si(job_id) | poll.si(job_id) | emit.si(job_id)
