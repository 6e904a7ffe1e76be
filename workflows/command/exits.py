"""What the command says to scripts: its exit codes."""

from __future__ import annotations

from enum import IntEnum

from jobs.states import JobState


class Exit(IntEnum):
    """An exit code; docs/trigger.md has the table."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_FINISHED = 4
    SETUP = 5
    CONFLICT = 6
    EXPIRED = 7
    CANCELLED = 8
    INTERRUPTED = 130


#: What each means, where a command says nothing more exact.
MEANING = {
    Exit.DONE: "done",
    Exit.FAILED: "the job failed",
    Exit.USAGE: "bad usage or input; the message names the field",
    Exit.NOT_FOUND: "no such job",
    Exit.NOT_FINISHED: "not finished in time",
    Exit.SETUP: "the set-up is wrong: a setting, or Redis away",
    Exit.CONFLICT: "the id belongs to another request, or the job is where this cannot be done",
    Exit.EXPIRED: "the job expired",
    Exit.CANCELLED: "the job was cancelled",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}

OF_STATE = {
    JobState.SUCCEEDED: Exit.DONE,
    JobState.FAILED: Exit.FAILED,
    JobState.EXPIRED: Exit.EXPIRED,
    JobState.CANCELLED: Exit.CANCELLED,
}

#: How a command that waits for jobs may end.
OF_ENDS = (Exit.FAILED, Exit.NOT_FINISHED, Exit.EXPIRED, Exit.CANCELLED)
