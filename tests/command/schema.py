"""What a command printed, held against docs/reference/command.schema.json."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FILE = Path(__file__).parents[2] / "docs" / "reference" / "command.schema.json"


@cache
def _schema() -> dict[str, Any]:
    """The schema, stricter than it is published: a field that it does not name is an error here."""
    strict: dict[str, Any] = deepcopy(json.loads(FILE.read_text()))
    for shape in strict["$defs"].values():
        if shape.get("type") == "object":
            shape["additionalProperties"] = False
    return strict


def checked(command: str, printed: str) -> list[dict[str, Any]]:
    """The lines that a command's `--json` printed; each must be as the schema says, and there must be one.

    Args:
        command: its name, or `report` for the report of a bulk run.
        printed: on standard output, or into the report.
    """
    schema = _schema()
    part = schema["report"] if command == "report" else schema["commands"][command]
    validator = Draft202012Validator({**part, "$defs": schema["$defs"]})
    lines = [json.loads(line) for line in printed.splitlines()]
    assert lines, f"{command} printed nothing"
    for line in lines:
        validator.validate(line)
    return lines
