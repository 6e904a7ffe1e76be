"""LettrLabs: upload conversions, and delete an upload."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.poll import poll
from tasks.submit import submit
from tasks.ways import workflow


@workflow("lettrlabs.convert")
def convert(job_id: str) -> Signature:
    """Upload conversions: `settle.lettrlabs.convert(conversions=[…])`."""
    return submit.si(job_id) | poll.si(job_id) | emit.si(job_id)


@workflow("lettrlabs.delete")
def delete(job_id: str) -> Signature:
    """Delete an upload: `settle.lettrlabs.delete(id)`."""
    return submit.si(job_id) | poll.si(job_id) | emit.si(job_id)
