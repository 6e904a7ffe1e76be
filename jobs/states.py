"""The states of a job and the moves between them: one enum, one table.

`docs/architecture.md` draws this table; a test compares the drawing with it.
"""

from __future__ import annotations

from enum import StrEnum

from jobs.errors import IllegalMove


class JobState(StrEnum):
    """Where a job is. Each member says who sets it and what follows."""

    ACCEPTED = "accepted"
    """Set by the entry task. The request is in the ledger; nothing was sent. Next: submitting."""

    SUBMITTING = "submitting"
    """Set by the submit stage before the first byte leaves. Found here after a crash, a job is in doubt."""

    IN_DOUBT = "in_doubt"
    """Set when the answer to a submission was lost. The provider is asked, never told twice; then a person."""

    POLLING = "polling"
    """Set by the submit stage with the provider's receipt. The ledger holds its countdown."""

    FETCHING = "fetching"
    """Set by the poll stage when the provider succeeded and has files for us."""

    VERIFYING = "verifying"
    """Set by the fetch stage when every file is stored. Next: read again from rest."""

    EMITTING = "emitting"
    """Set by the verify stage, or by poll when there is nothing to fetch. Next: tell who waits."""

    SUCCEEDED = "succeeded"
    """Terminal. Set by emit, or by poll's own write when nothing is left to do."""

    FAILED = "failed"
    """Terminal. The request was refused, the provider failed it, or a file is not what was promised."""

    EXPIRED = "expired"
    """Terminal. Our deadline passed; the remote outcome is unknown."""

    CANCELLED = "cancelled"
    """Terminal. Somebody cancelled the job."""


S = JobState

TERMINAL: frozenset[JobState] = frozenset({S.SUCCEEDED, S.FAILED, S.EXPIRED, S.CANCELLED})
UNSUCCESSFUL: frozenset[JobState] = TERMINAL - {S.SUCCEEDED}
UNFINISHED: frozenset[JobState] = frozenset(S) - TERMINAL

#: Whoever moves a job here goes on with it at once: until its wake-up time nobody else may begin it without a claim.
IN_HAND: frozenset[JobState] = frozenset({S.SUBMITTING})

#: From a state to the states that may follow it. A job may also stay where it is, with a new wake-up time.
MOVES: dict[JobState, frozenset[JobState]] = {
    S.ACCEPTED: frozenset({S.SUBMITTING, S.FAILED, S.EXPIRED, S.CANCELLED}),
    S.SUBMITTING: frozenset({S.POLLING, S.ACCEPTED, S.IN_DOUBT, S.FAILED}),
    S.IN_DOUBT: frozenset({S.POLLING, S.SUBMITTING, S.FAILED, S.EXPIRED, S.CANCELLED}),
    S.POLLING: frozenset({S.FETCHING, S.EMITTING, S.SUCCEEDED, S.FAILED, S.EXPIRED, S.CANCELLED}),
    S.FETCHING: frozenset({S.VERIFYING, S.FAILED, S.CANCELLED}),
    S.VERIFYING: frozenset({S.EMITTING, S.FAILED, S.CANCELLED}),
    S.EMITTING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.EXPIRED: frozenset(),
    S.CANCELLED: frozenset(),
}

#: What a person may reopen, and where the job then goes on: `settle resume` and `settle replay`.
REOPENINGS: dict[JobState, frozenset[JobState]] = {
    S.EXPIRED: frozenset({S.ACCEPTED, S.IN_DOUBT, S.POLLING}),
    S.FAILED: frozenset({S.FETCHING, S.POLLING}),
}


class Wish(StrEnum):
    """What a person wants of an unfinished job."""

    PAUSE = "pause"  #: leave it alone until it is resumed, or its deadline
    CANCEL = "cancel"  #: end it at the next stage, and at the provider where that has a way
    RESUBMIT = "resubmit"  #: send a job in doubt again: somebody looked, the provider has nothing


def check_move(source: JobState, target: JobState) -> None:
    """Refuse a move that is not in the table.

    Raises:
        IllegalMove: `target` may not follow `source`, or the job is finished.
    """
    if source in TERMINAL or (target != source and target not in MOVES[source]):
        raise IllegalMove(f"{source} -> {target} is not an allowed move")
