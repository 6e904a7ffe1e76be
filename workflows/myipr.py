"""myIPR: certify a file's hash, and keep the certificate."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.fetch import fetch
from tasks.poll import poll
from tasks.submit import submit
from tasks.verify import verify
from tasks.ways import workflow


@workflow("myipr.certify")
def certify(job_id: str) -> Signature:
    """Certify a file: `settle.myipr.certify(category | category_id, file | hash + size, name=None)`.

    A job with a stored `file` passes through `settle.measure` before it is submitted.
    """
    return submit.si(job_id) | poll.si(job_id) | fetch.si(job_id) | verify.si(job_id) | emit.si(job_id)
