"""The `settle` command. Rich on a terminal, plain in a pipe, `--json` for machines.

Exit codes: 0 done, 1 a job failed, 2 bad usage or input, 3 no such job, 4 not finished in time, 5 the set-up is wrong
(a setting, or Redis away), 6 the id belongs to another request, 7 expired, 8 cancelled.
"""

from __future__ import annotations

import sys
from enum import IntEnum

import click
from redis.exceptions import RedisError

from jobs.errors import ConfigurationError, InvalidJob, JobConflict, JobNotFound, SettleError
from jobs.states import JobState


class Exit(IntEnum):
    """What the command says to scripts."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_FINISHED = 4
    SETUP = 5
    CONFLICT = 6
    EXPIRED = 7
    CANCELLED = 8


OF_STATE = {
    JobState.SUCCEEDED: Exit.DONE,
    JobState.FAILED: Exit.FAILED,
    JobState.EXPIRED: Exit.EXPIRED,
    JobState.CANCELLED: Exit.CANCELLED,
}

_OF_ERROR: tuple[tuple[type[Exception], Exit], ...] = (
    (ConfigurationError, Exit.SETUP),
    (InvalidJob, Exit.USAGE),
    (JobNotFound, Exit.NOT_FOUND),
    (JobConflict, Exit.CONFLICT),
    (SettleError, Exit.FAILED),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="settle")
def settle() -> None:
    """Submit a job to a slow remote HTTP API once, and see it through: poll, fetch, verify, emit."""


def main() -> None:
    """Run the command; an error of ours is one line on standard error and an exit code."""
    # Late, so that `settle --help` needs neither Redis nor settings.
    from workflows.command import demo, dev, follow, query, serve, submit  # noqa: F401

    try:
        settle()
    except SettleError as error:
        click.echo(f"settle: {error}", err=True)
        sys.exit(next(code for kind, code in _OF_ERROR if isinstance(error, kind)))
    except RedisError as error:
        click.echo(f"settle: Redis does not answer ({type(error).__name__}): check SETTLE_REDIS_URL", err=True)
        sys.exit(Exit.SETUP)
