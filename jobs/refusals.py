"""What Redis, or the broker, refuses for good, told from outages, which are waited out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AccessRefused, PreconditionFailed
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ExecAbortError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

if TYPE_CHECKING:
    from jobs.ledger import Acceptance

#: Answers of a Redis that is full, starting, busy, no primary, or without its replicas, disk or login at the moment.
_OUTAGES = (
    AskError,
    ClusterDownError,
    ExecAbortError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
#: The same as texts: those that redis-py has no class for, and in what a script of Redis 6.2 answers.
_CODES = re.compile(
    r"\b(OOM|LOADING|READONLY|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|NOSCRIPT|EXECABORT|NOAUTH"
    r"|UNBLOCKED|UNKILLABLE|REDIRECT)\b|max number of clients"
)
#: What redis-py puts in front of an error in a pipeline: the command, with names and bodies that a caller chose.
_COMMAND = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
#: What a person is told to do about it.
DOCTOR = "settle doctor names the key, and what to do"

#: How far down the causes of an error go.
_DEPTH = 5
#: Causes that are remembered.
_MOST = 1000


def refusal(error: BaseException) -> str | None:
    """Why it will be refused again each time, in the server's own words; `None` for an outage, or a defect of ours.

    Args:
        error: of redis-py, of py-amqp, or of kombu, which has the other one as its cause.
    """
    cause: BaseException | None = error
    for _ in range(_DEPTH):
        if isinstance(cause, AccessRefused | PreconditionFailed):
            return str(cause.reply_text or cause) or type(cause).__name__
        if isinstance(cause, ResponseError):
            text = _COMMAND.sub("", str(cause))
            return None if isinstance(cause, _OUTAGES) or _CODES.search(text) else text or type(cause).__name__
        cause = cause.__cause__ if cause is not None else None
    return None


def executed(pipe: Any) -> list[Any]:
    """The answers of a pipeline; what is refused for good stands as an error in its place, and costs no other answer.

    Raises:
        RedisError: an outage.
    """
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and refusal(answer) is None:
            raise answer
    return answers


class PartlyAccepted(ResponseError):
    """Redis refuses to record some jobs, because a key of theirs is damaged; the others are recorded.

    Args:
        reason: in Redis' own words.
        answers: for each job, `None` where it is refused.
    """

    def __init__(self, reason: str, answers: Sequence[Acceptance | None]) -> None:
        super().__init__(reason)
        self.answers = answers


class Causes:
    """What is wrong, by what it is wrong with: news the first time, and again when it has changed or was over."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def news(self, of: str, cause: str) -> bool:
        """Whether this is to be logged."""
        new = self._known.get(of) != cause
        if len(self._known) >= _MOST:  # a few lines more in a log, rather than memory without a bound
            self._known.clear()
        self._known[of] = cause
        return new

    def over(self, of: str) -> None:
        """Nothing is wrong with it."""
        self._known.pop(of, None)
