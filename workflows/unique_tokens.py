"""Unique Tokens: produce tokens, part by part, and keep their files."""

from celery.canvas import Signature

from tasks.emit import emit
from tasks.fetch import fetch
from tasks.poll import poll
from tasks.submit import submit
from tasks.verify import verify
from tasks.ways import workflow


@workflow("unique_tokens.produce")
def produce(job_id: str) -> Signature:
    """Produce tokens: `settle.unique_tokens.produce(alphabet, digits, size, payment, …)`.

    Optional: chars (of an alphabet of your own), seed, snapshot, format="plain"|"gz", analysis="none"|"metrics".
    """
    return submit.si(job_id) | poll.si(job_id) | fetch.si(job_id) | verify.si(job_id) | emit.si(job_id)


@workflow("unique_tokens.continue")
def next_part(job_id: str) -> Signature:
    """Produce the next part from a former job's snapshot: `settle.unique_tokens.continue(former, size, payment, …)`.

    Optional: seed, snapshot, format and analysis as for the first part, and again.
    """
    return submit.si(job_id) | poll.si(job_id) | fetch.si(job_id) | verify.si(job_id) | emit.si(job_id)
