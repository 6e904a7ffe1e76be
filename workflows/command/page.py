"""A command with a help page that could be printed: description, options, examples, exit codes, environment."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from workflows.command.exits import MEANING, Exit

#: Of every context; click keeps the help option of a command's first one.
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

#: The variables that commands name in their help, by what they are for there.
VARIABLES = {
    "SETTLE_REDIS_URL": "where the ledger is; if not set, the Redis of the `settle dev` that runs in this folder",
    "SETTLE_REDIS_PASSWORD": "its password, if that is not part of the address",
    "SETTLE_BROKER_URL": "where messages go, if not to the same Redis",
    "SETTLE_STATE_DIR": "the folder of the embedded Redis, its address and the artifacts (.settle)",
    "SETTLE_SECRETS_DIR": "a folder with a file per secret, named like its variable",
    "SETTLE_STORAGE_URL": "where artifacts are stored",
    "SETTLE_RETENTION": "so many seconds a finished job is known (604800)",
    "SETTLE_SCHEDULES": "a TOML or JSON file of workflows on a crontab",
    "SETTLE_WEBHOOKS__NAME__URL": "and the like for each webhook: who is told of events, and how",
    "SETTLE_DOWNSTREAM__NAME__TASK": "and the like for each task of another application that is told",
    "SETTLE_FLOWER__USER": "the login of the web page (settle)",
    "SETTLE_FLOWER__PASSWORD": "its password; without one Flower does not start",
    "SETTLE_FLOWER__ADDRESS": "where Flower listens (127.0.0.1)",
    "SETTLE_FLOWER__PORT": "and its port (5555)",
    "SETTLE_MYIPR__API_KEY": "and the like for each provider: one that is not configured is not asked",
    "SETTLE_MYIPR__BASE_URL": "and the like for each provider: one that is set is called for real",
    "TRACEPARENT": "the trace that the job becomes a part of (W3C Trace Context)",
}

#: What every command reads that talks to the ledger.
LEDGER = ("SETTLE_REDIS_URL", "SETTLE_REDIS_PASSWORD", "SETTLE_STATE_DIR", "SETTLE_SECRETS_DIR")


def sections(
    formatter: click.HelpFormatter,
    examples: Iterable[tuple[str, str]],
    exits: Mapping[Exit, str],
    reads: Iterable[str],
) -> None:
    """Write what comes after the options."""
    with formatter.section("Examples"):
        for line, what in examples:
            formatter.write(textwrap.indent(f"{what}\n  $ {line}\n", " " * formatter.current_indent))
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(code.value), text) for code, text in sorted(exits.items())])
    if reads := list(reads):
        with formatter.section("Environment"):
            formatter.write_dl([(name, VARIABLES[name]) for name in reads])


class Page(click.Command):
    """A command whose help is a whole page.

    Args:
        args: of a click command.
        examples: command lines without a prompt, each with what it does.
        exits: the exit codes beside 0 and 2; those with a meaning of their own as a pair.
        reads: the variables that matter.
        more: of a click command.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[tuple[str, str]] = (),
        exits: Iterable[Exit | tuple[Exit, str]] = (),
        reads: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*args, **{"context_settings": SETTINGS, **more})
        self.examples = tuple(examples)
        self.reads = tuple(reads)
        told = dict(each if isinstance(each, tuple) else (each, MEANING[each]) for each in exits)
        self.exits = {Exit.DONE: MEANING[Exit.DONE], Exit.USAGE: MEANING[Exit.USAGE], **told}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, exit codes and environment come last."""
        sections(formatter, self.examples, self.exits, self.reads)


class Book(Page, click.Group):
    """A command with commands of its own, and a help page for all of them together."""
