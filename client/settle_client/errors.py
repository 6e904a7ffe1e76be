"""Every error of the client has one root. The tree::

    SettleError
    ├── WrongApplication       this Celery application could not reach Settle as it is set up
    ├── InvalidJob             a trigger that can never work; nothing was sent
    ├── NotSent                the broker could not be reached in time; trigger it again under the same id
    ├── Unreachable            Redis could not be asked; the job goes on
    ├── StillRunning           the job has not ended in the time that the caller would wait
    └── JobUnsuccessful        the job ended without success
        ├── JobFailed          the provider refused or failed it, or its files are not what was promised
        ├── JobExpired         its deadline passed; the remote outcome is unknown
        └── JobCancelled       somebody cancelled it

No message holds what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settle_client.outcome import Outcome


class SettleError(Exception):
    """The root of all errors of the client."""


class WrongApplication(SettleError):
    """The Celery application is set up in a way that keeps Settle from reading its messages, or it from the results."""


class InvalidJob(SettleError, ValueError):
    """A trigger that can never work; the message names the field and the remedy, and nothing was sent."""


class NotSent(SettleError, ConnectionError):
    """The broker did not take the message in time, or its answer was lost.

    Trigger it again with `job_id`: if it did arrive after all, it is one job all the same.
    """

    def __init__(self, job_id: str, seconds: float, cause: str) -> None:
        again = "trigger it again under the same job_id"
        super().__init__(f"{job_id}: the broker did not take it within {seconds:g} s ({cause}); {again}")
        self.job_id = job_id


class Unreachable(SettleError, ConnectionError):
    """Redis, where results are, could not be asked. The job goes on; ask again."""

    def __init__(self, job_id: str, cause: str) -> None:
        super().__init__(f"{job_id}: Redis could not be asked ({cause}); the job goes on, ask again")
        self.job_id = job_id


class StillRunning(SettleError, TimeoutError):
    """The job has not ended within the time-out. It goes on; wait again."""

    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(f"{job_id}: has not ended within {seconds:g} s; it goes on, wait again")
        self.job_id = job_id


class JobUnsuccessful(SettleError):
    """The job ended without success.

    Args:
        job_id: of the job.
        kind: of what was wrong, for machines: `refused`, `invalid`, `digest_mismatch`, … (docs/operations.md).
        message: one sentence for people.
        remedy: what to do about it, if there is something.
        outcome: all that is known of the job; none if its worker did not tell.
    """

    def __init__(self, job_id: str, kind: str, message: str, remedy: str | None, outcome: Outcome | None) -> None:
        super().__init__(f"{job_id}: {message}" + (f" ({remedy})" if remedy else ""))
        self.job_id = job_id
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.outcome = outcome


class JobFailed(JobUnsuccessful):
    """The provider refused or failed the job, or its files are not what was promised."""


class JobExpired(JobUnsuccessful):
    """The deadline passed before the job ended; the remote outcome is unknown."""


class JobCancelled(JobUnsuccessful):
    """Somebody cancelled the job."""
