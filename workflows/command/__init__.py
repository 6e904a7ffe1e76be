"""The `settle` command. Rich on a terminal, plain in a pipe, `--json` for machines.

What it says to scripts is in `exits`, what it says of trouble in `trouble`, what `--json` prints in `shapes`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import add_completion_class

from jobs.nearest import did_you_mean
from workflows.command.bash import Bash
from workflows.command.exits import MEANING, OF_STATE, Exit
from workflows.command.page import LEDGER, SETTINGS, sections
from workflows.command.trouble import explain

__all__ = ["OF_STATE", "Exit", "main", "settle"]

#: The commands, each in the module that loads only when it is called: `settle status` needs no simulator.
_COMMANDS = {
    "submit": ("submit", "Trigger a workflow with a JSON body, or with each line of a file."),
    "certify": ("certify", "Hash a file of this machine, and have the hash certified at myIPR."),
    "status": ("query", "Show one job with its result, its files and its error."),
    "wait": ("follow", "Wait until jobs are finished; exit by the first that did not succeed."),
    "watch": ("follow", "A live dashboard of all jobs, or a table of some."),
    "events": ("events", "Print what happens to jobs; follow it, alone or as a consumer group."),
    "list": ("query", "List jobs, newest first, by provider, state, age, tag and text."),
    "resolve": ("control", "End the doubt about a job whose submission got no answer."),
    "pause": ("control", "Leave a job, or a whole provider, alone."),
    "resume": ("control", "Go on with a paused job or provider, or reopen an expired job."),
    "cancel": ("control", "Cancel a job at any stage."),
    "replay": ("control", "Fetch and verify the files of a failed job again."),
    "webhooks": ("webhooks", "Deliver events to webhooks and tasks; list and replay what was given up."),
    "restored": ("restored", "After Redis came back from a copy: see that nothing is sent twice."),
    "acl": ("acl", "Print the Redis user that Settle needs, and no more."),
    "completion": ("completion", "Let the shell complete commands, options, names, states and ids."),
    "doctor": ("doctor", "Look at the set-up and say what is wrong."),
    "dev": ("dev", "Run Redis, workers, Flower and the simulated APIs in this terminal."),
    "demo": ("demo", "Run fifteen jobs over four simulated APIs and check every outcome."),
    "beat": ("schedules", "Start workflows on a crontab, as SETTLE_SCHEDULES has them."),
    "schedules": ("schedules", "List the schedules with their next ticks and their last jobs."),
    "flower": ("serve", "Run Flower with a login."),
    "simulate": ("serve", "Play the four remote APIs on one local port."),
}


#: In this order in `settle --help`; a command that is in none comes last.
_SUBJECTS = {
    "Trigger": ("submit", "certify"),
    "Look": ("list", "status", "watch", "wait", "events"),
    "Act": ("resolve", "pause", "resume", "cancel", "replay"),
    "Set up": ("doctor", "schedules", "acl", "restored", "completion"),
    "Run": ("dev", "demo", "flower", "webhooks", "beat", "simulate"),
}

_EXAMPLES = (
    ("settle dev", "Everything on this machine, over simulated APIs"),
    ("settle submit myipr.certify --input certificate.json --id order-4711 --wait", "A job, followed to its end"),
    ("settle list --state in_doubt", "What waits for a person"),
)


class _Commands(click.Group):
    """Commands that are loaded when they are called, and told by subject."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of all commands."""
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Load a command."""
        if name not in _COMMANDS:
            return None
        module = import_module(f"workflows.command.{_COMMANDS[name][0]}")
        command: click.Command = module.COMMANDS[name]
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called; the nearest name if there is none."""
        if args[0] not in _COMMANDS and not args[0].startswith("-") and not context.resilient_parsing:
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], _COMMANDS)}", context)
        return super().resolve_command(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        """Names of commands, without loading a single one."""
        names = [
            click.shell_completion.CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by subject."""
        named = {name for names in _SUBJECTS.values() for name in names}
        width = max(map(len, _COMMANDS))
        for subject, names in {**_SUBJECTS, "More": [name for name in _COMMANDS if name not in named]}.items():
            if names:
                with formatter.section(subject):
                    formatter.write_dl([(f"{name:<{width}}", _COMMANDS[name][1]) for name in names])

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """What holds for all commands."""
        sections(formatter, _EXAMPLES, MEANING, LEDGER)


@click.group(cls=_Commands, context_settings=SETTINGS)
@click.version_option(package_name="settle-jobs")
def settle() -> None:
    """Submit a job to a slow remote HTTP API once, and see it through: poll, fetch, verify, emit.

    Tables on a terminal, a line each in a pipe, JSON with --json (its schema: docs/reference/command.schema.json).
    Errors are one line on standard error. Settings come from the environment, SETTLE_…: see docs/operations.md.

    `settle COMMAND --help` tells all of a command, and `settle completion` lets the shell complete them.
    """


add_completion_class(Bash)


def main() -> NoReturn:
    """Run the command; an error of ours is one line on standard error and an exit code."""
    try:
        code = settle.main(prog_name="settle", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("settle: interrupted", err=True)
        sys.exit(Exit.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(Exit.USAGE)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        text, code = told
        click.echo(f"settle: {text}", err=True)
        sys.exit(code)
