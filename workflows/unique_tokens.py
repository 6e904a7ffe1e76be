"""Unique Tokens: produce tokens, and keep their files."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.fetch import fetch
from tasks.poll import poll
from tasks.submit import submit
from tasks.verify import verify
from tasks.ways import workflow


@workflow("unique_tokens.produce")
def produce(job_id: str) -> Signature:
    """Produce tokens: `settle.unique_tokens.produce(alphabet, digits, size, payment, seed=None, snapshot=False)`."""
    return submit.si(job_id) | poll.si(job_id) | fetch.si(job_id) | verify.si(job_id) | emit.si(job_id)
