"""`settle completion`: what makes a shell complete the command."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from jobs.errors import ConfigurationError
from workflows.command.exits import Exit
from workflows.command.page import LEDGER, Page

#: By which the shell asks, see click's documentation.
ASKED_BY = "_SETTLE_COMPLETE"


class Bash(BashComplete):
    """Bash takes `shop=7` apart at the `=`: it asks for the last part only, and puts back the last part only."""

    _kept = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were typed; an option and its value stay apart."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in filter(None, (*args, incomplete)):
            if (word == "=" and words) or (words and words[-1].endswith("=")):
                words[-1] += word
            else:
                words.append(word)
        words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else (word,))]
        last = words.pop() if incomplete else ""
        self._kept = last[: last.rfind("=") + 1]
        return words, last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Without what stands there already."""
        item.value = item.value.removeprefix(self._kept)
        return super().format_completion(item)


add_completion_class(Bash)


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
