"""`console` blocks: what a reader types behind `$ `, and what is said to come back."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import click

from workflows.command import settle

#: Stands for anything in a line of output.
ANYTHING = "…"

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


@dataclass(frozen=True)
class Command:
    """One command, over as many lines as it takes, and the lines that the page shows as its output."""

    text: str
    output: tuple[str, ...]


def commands(code: str) -> list[Command]:
    """The commands of a block.

    Raises:
        ValueError: the block does not begin with a command, or a here-document has no end.
    """
    found: list[Command] = []
    lines = iter(code.splitlines())
    output: list[str] = []
    for line in lines:
        if not line.startswith("$ "):
            if not found:
                raise ValueError(f"a console block begins with `$ `, not with {line!r}")
            output.append(line)
            found[-1] = Command(found[-1].text, tuple(output))
            continue
        text, output = [line.removeprefix("$ ")], []
        ends = [heredoc[2] for heredoc in _HEREDOC.finditer(line)]
        while ends or text[-1].endswith("\\") or _quote_is_open("\n".join(text)):
            following = next(lines, None)
            if following is None:
                raise ValueError(f"the command does not end: {text[0]}")
            text.append(following)
            if ends and following == ends[0]:
                ends.pop(0)
                if not ends:
                    break
        found.append(Command("\n".join(text), ()))
    return found


def _quote_is_open(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """The first line of the page that does not come, in this order, in what was printed."""
    printed = iter([line.rstrip() for line in output.splitlines()])
    for line in expected:
        pattern = re.compile(".*".join(map(re.escape, line.rstrip().split(ANYTHING))))
        if line.strip() and not any(pattern.fullmatch(each) for each in printed):
            return line
    return None


def unknown_options(code: str) -> list[str]:
    """What a `settle` command in a block cannot take; for blocks that another test runs, too."""
    faults = []
    known = set(settle.list_commands(click.Context(settle)))
    for words in re.findall(r"(?:^\$ |[|&;(] *)(?:\w+=\S+ )*settle +([^|&;)\n]*(?:\\\n[^|&;)\n]*)*)", code, re.M):
        name, *rest = shlex.split(words.replace("\\\n", " "), comments=True) or [""]
        if name.startswith("-"):
            continue
        if name not in known:
            faults.append(f"settle {name}: no such command")
            continue
        command = settle.get_command(click.Context(settle), name)
        assert command is not None
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name = f"{name} {rest[0]}"
            if rest[0] not in command.commands:
                faults.append(f"settle {name}: no such command")
                break
            command = command.commands[rest.pop(0)]
        taken = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options = [word.partition("=")[0] for word in rest if word.startswith("--")]
        faults += [f"settle {name} has no option {each}" for each in options if each not in taken | {"--help"}]
    return faults
