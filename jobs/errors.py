"""Every error of Settle has one root. The tree::

    SettleError
    ├── ConfigurationError     the settings contradict each other, or one is missing
    ├── InvalidJob             a request that can never work; names the field and the remedy
    ├── JobConflict            the id is taken by another request
    ├── JobNotFound            no record under this id
    ├── RecordTooNew           its record was written by a newer version
    ├── IllegalMove            a move that is not in the table of moves
    ├── JobUnsuccessful        what `AsyncResult.get()` raises when a job ended without success
    │   ├── JobFailed          the provider refused or failed it, or its files are not what was promised
    │   ├── JobExpired         our deadline passed; the remote outcome is unknown
    │   └── JobCancelled       somebody cancelled it
    ├── ArtifactError          a file is not what the provider promised
    │   ├── SizeMismatch
    │   ├── LineCountMismatch
    │   ├── LineLengthMismatch
    │   ├── DuplicateLine
    │   ├── PackingMismatch
    │   └── DigestMismatch
    └── ProviderError          see `providers.errors`

No message ever holds a request body, a key or personal data.
"""

from __future__ import annotations


class SettleError(Exception):
    """The root of all errors of Settle."""


class ConfigurationError(SettleError):
    """A setting is missing or contradicts another; the message names the variable."""


class InvalidJob(SettleError):
    """A request that can never work; the message names the field and the remedy."""


class JobConflict(SettleError):
    """This id already belongs to a job with another request."""


class JobNotFound(SettleError):
    """The ledger holds no job under this id (unknown, or past its retention)."""


class RecordTooNew(SettleError):
    """The record of a job was written by a newer version, which alone does it justice."""


class IllegalMove(SettleError):
    """A move between two states that the table of moves does not allow."""


class JobUnsuccessful(SettleError):
    """A job that ended without success; raised to whoever waits for its result."""


class JobFailed(JobUnsuccessful):
    """The provider refused or failed the job, or its files are not what was promised."""


class JobExpired(JobUnsuccessful):
    """The deadline passed before a terminal status was seen; the remote outcome is unknown."""


class JobCancelled(JobUnsuccessful):
    """The job was cancelled before it ended."""


class ArtifactError(SettleError):
    """A file is not what the provider promised.

    Args:
        artifact: the name of the file, as the provider calls it.
        expected: what was promised.
        actual: what was found.
    """

    what = "content"

    def __init__(self, artifact: str, expected: object, actual: object) -> None:
        self.artifact, self.expected, self.actual = artifact, expected, actual
        super().__init__(f"{artifact}: expected {self.what} {expected}, found {actual}")


class SizeMismatch(ArtifactError):
    """The file's length in bytes differs from the promised one."""

    what = "size"


class LineCountMismatch(ArtifactError):
    """The number of lines differs from the promised one."""

    what = "line count"


class LineLengthMismatch(ArtifactError):
    """A line is longer than any line of such a file."""

    what = "lines of"


class DuplicateLine(ArtifactError):
    """Two lines are the same where all must differ."""

    what = "lines"


class PackingMismatch(ArtifactError):
    """The file is not packed as was asked for, or cannot be unpacked."""

    what = "packing"


class DigestMismatch(ArtifactError):
    """No known digest rule gives the promised SHA-256."""

    what = "SHA-256"
