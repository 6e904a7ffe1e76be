"""`settle completion`: what makes a shell complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from jobs.errors import ConfigurationError
from workflows.command.exits import Exit
from workflows.command.page import LEDGER, Page

#: By which the shell asks, see click's documentation.
ASKED_BY = "_SETTLE_COMPLETE"


@click.command(
    cls=Page,
    examples=[
        ('eval "$(settle completion bash)"', "In ~/.bashrc; bash 4.4 or later"),
        ('eval "$(settle completion zsh)"', "In ~/.zshrc, after compinit"),
        ("settle completion fish > ~/.config/fish/completions/settle.fish", "Once"),
    ],
    exits=[(Exit.SETUP, "this shell cannot complete")],
    reads=LEDGER,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL (bash, zsh or fish) complete commands, options, names, states and job ids.

    Ids and tags are those of the latest 50 jobs; targets are those of the settings, and those for which something may
    wait. That costs one round trip to Redis (tags: two); where it does not answer within half a second, what is in it
    is not offered.
    """
    from workflows.command import settle

    kind = get_completion_class(shell)
    if kind is None:  # click has all three
        raise ConfigurationError(f"shell: {shell} cannot be completed")
    click.echo(kind(settle, {}, "settle", ASKED_BY).source())


COMMANDS = {"completion": completion}
