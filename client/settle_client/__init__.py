"""Trigger jobs of Settle from another Python application, and follow them. Needs Celery, and nothing of Settle.

    from settle_client import Settle

    with Settle("redis://…") as settle:
        job = settle.myipr.certify(name="Harbour at dusk", category_id="10", hash="…", size="1079", job_id="order-4711")
        outcome = job.wait(timeout=600)

Nothing is logged, and no error holds what was sent.
"""

from settle_client.client import Settle
from settle_client.errors import (
    InvalidJob,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobUnsuccessful,
    NotSent,
    SettleError,
    StillRunning,
    Unreachable,
    WrongApplication,
)
from settle_client.handle import Handle
from settle_client.outcome import Artifact, Outcome, Problem, State
from settle_client.shapes import (
    Address,
    Conversion,
    Link,
    Member,
    Options,
    Payment,
    Registry,
    TaskLink,
    WorkflowLink,
    key_of,
    ref,
)

__all__ = [
    "Address",
    "Artifact",
    "Conversion",
    "Handle",
    "InvalidJob",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "JobUnsuccessful",
    "Link",
    "Member",
    "NotSent",
    "Options",
    "Outcome",
    "Payment",
    "Problem",
    "Registry",
    "Settle",
    "SettleError",
    "State",
    "StillRunning",
    "TaskLink",
    "Unreachable",
    "WorkflowLink",
    "WrongApplication",
    "key_of",
    "ref",
]
