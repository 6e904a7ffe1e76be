"""docs/reference: the help of every command as one page, and the JSON Schema of what `--json` prints.

`make reference` writes both; a test compares them with the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from pydantic.json_schema import models_json_schema

from workflows.command import settle, shapes
from workflows.command.page import SETTINGS

_WIDTH = 100

_HEAD = """# The command: reference

Written from the code by `make reference`; do not edit it here. [The command](../command.md) tells how to use it, and
[command.schema.json](command.schema.json) is the schema of what `--json` prints.
"""


def _help(command: click.Command, name: str) -> str:
    with click.Context(command, info_name=name, terminal_width=_WIDTH, **SETTINGS) as context:
        return command.get_help(context)


def page() -> str:
    """The help of every command."""
    parts = [_HEAD, f"## settle\n\n```text\n{_help(settle, 'settle')}\n```\n"]
    with click.Context(settle) as context:
        for name, command in commands(settle, context).items():
            mark = "#" * (2 + name.count(" "))
            parts.append(f"{mark} settle {name}\n\n```text\n{_help(command, f'settle {name}')}\n```\n")
    return "\n".join(parts)


def commands(group: click.Group, context: click.Context) -> dict[str, click.Command]:
    """Every command by its name; those of a command follow it."""
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 (it is in the list)
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in commands(command, context).items()}
    return found


def schema() -> dict[str, Any]:
    """What each command's `--json` prints: `commands` names, for each, what one line may be."""
    kinds = {kind for kinds in shapes.PRINTED.values() for kind in kinds} | {shapes.Line}
    wanted = sorted(((kind, "serialization") for kind in kinds), key=lambda pair: pair[0].__name__)
    places, made = models_json_schema(wanted, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    by_kind = {kind: place for (kind, _), place in places.items()}
    printed = {name: {"anyOf": [by_kind[kind] for kind in kinds]} for name, kinds in shapes.PRINTED.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What settle --json prints",
        "description": "One JSON object a line. Fields may be added; none changes its meaning or goes.",
        "commands": {**printed, "events": {"$ref": "../events.schema.json"}},
        "report": by_kind[shapes.Line],
        "$defs": made["$defs"],
    }


def texts() -> dict[str, str]:
    """The files by their names."""
    written = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    return {"command.md": page(), "command.schema.json": written}


def main(folder: Path) -> None:
    """Write the files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
