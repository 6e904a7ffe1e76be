"""The `settle` command. Rich on a terminal, plain in a pipe, `--json` for machines.

Exit codes: 0 done, 1 a job failed, 2 bad usage or input, 3 no such job, 4 not finished in time, 5 the set-up is wrong
(a setting, or Redis away), 6 the id belongs to another request or the job is where this cannot be done, 7 expired,
8 cancelled.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from importlib import import_module

import click
from redis.exceptions import OutOfMemoryError, RedisError

from jobs.errors import ConfigurationError, IllegalMove, InvalidJob, JobConflict, JobNotFound, SettleError
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
    (IllegalMove, Exit.CONFLICT),
    (SettleError, Exit.FAILED),
)


#: The commands, each in the module that loads only when it is called: `settle status` needs no simulator.
_COMMANDS = {
    "submit": ("submit", "Trigger a workflow with a JSON body."),
    "certify": ("certify", "Hash a file of this machine, and have the hash certified at myIPR."),
    "status": ("query", "Show one job with its result, its files and its error."),
    "wait": ("follow", "Wait until jobs are finished; exit by the first that did not succeed."),
    "watch": ("follow", "A live table of jobs."),
    "events": ("events", "Print what happens to jobs; follow it, alone or as a consumer group."),
    "list": ("query", "List the latest jobs, newest first."),
    "resolve": ("control", "End the doubt about a job whose submission got no answer."),
    "pause": ("control", "Leave a job, or a whole provider, alone."),
    "resume": ("control", "Go on with a paused job or provider, or reopen an expired job."),
    "cancel": ("control", "Cancel a job at any stage."),
    "replay": ("control", "Fetch and verify the files of a failed job again."),
    "webhooks": ("webhooks", "Deliver events to webhooks and tasks; list and replay what was given up."),
    "restored": ("restored", "After Redis came back from a copy: see that nothing is sent twice."),
    "acl": ("acl", "Print the Redis user that Settle needs, and no more."),
    "doctor": ("doctor", "Look at the set-up and say what is wrong."),
    "dev": ("dev", "Run Redis, workers, Flower and the simulated APIs in this terminal."),
    "demo": ("demo", "Run fifteen jobs over four simulated APIs and check every outcome."),
    "beat": ("schedules", "Start workflows on a crontab, as SETTLE_SCHEDULES has them."),
    "schedules": ("schedules", "List the schedules with their next ticks and their last jobs."),
    "flower": ("serve", "Run Flower with a login."),
    "simulate": ("serve", "Play the four remote APIs on one local port."),
}


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"workflows.command.{_COMMANDS[name][0]}")
        command: click.Command = module.COMMANDS[name]
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="settle")
def settle() -> None:
    """Submit a job to a slow remote HTTP API once, and see it through: poll, fetch, verify, emit."""


def main() -> None:
    """Run the command; an error of ours is one line on standard error and an exit code."""
    try:
        settle()
    except SettleError as error:
        click.echo(f"settle: {error}", err=True)
        sys.exit(next(code for kind, code in _OF_ERROR if isinstance(error, kind)))
    except OutOfMemoryError:
        click.echo("settle: Redis is full, so no job is accepted: raise its maxmemory; running jobs go on", err=True)
        sys.exit(Exit.SETUP)
    except RedisError as error:
        click.echo(f"settle: Redis does not answer ({type(error).__name__}): check SETTLE_REDIS_URL", err=True)
        sys.exit(Exit.SETUP)
