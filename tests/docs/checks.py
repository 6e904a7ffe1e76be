"""What is done with a block that is not run line by line: parsed, validated, compared with the code it quotes."""

from __future__ import annotations

import ast
import csv
import json
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import yaml
from pydantic import ValidationError

import workflows
from config.settings import read
from jobs.errors import ConfigurationError, InvalidJob
from tasks.intake import validate
from tasks.ways import WORKFLOWS
from tests.docs import lanes
from tests.docs.blocks import CHECKOUT, NOTES, ROOT, Block
from tests.docs.console import commands, unknown_options

for _found in iter_modules(workflows.__path__):  # each registers its workflows
    import_module(f"workflows.{_found.name}")

#: Languages in which nothing can be wrong: drawings, trees of files, output.
SHOWN = ("text", "mermaid")

#: Languages that are run or parsed.
PARSED: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "csv": lambda text: _table(text),
    "console": commands,
    "python": ast.parse,
}
SETTINGS = ("ini", "env", "dotenv")


def _table(text: str) -> None:
    rows = list(csv.reader(text.splitlines(), strict=True))
    if len({len(row) for row in rows}) != 1:
        raise ValueError("its rows have different numbers of columns")


def fault(block: Block, environment: Callable[[Mapping[str, str]], None]) -> str | None:
    """What is wrong with a block, and what to do; nothing if it is well.

    Args:
        block: the block.
        environment: sets variables for as long as the settings are read.
    """
    if not block.language:
        return "a block needs a language: console (with `$ ` before commands), python, json, … or text"
    if unknown := set(block.notes) - set(NOTES):
        return f"no such note: {', '.join(sorted(unknown))}; there are: {', '.join(NOTES)}"
    if block.notes.get("in", CHECKOUT) != CHECKOUT:
        return f"a page is run in a folder of its own, or <!-- in: {CHECKOUT} -->"
    if block.language == "console" and (options := unknown_options(block.code)):
        return "; ".join(options)
    if "run by" in block.notes:
        return lanes.fault(block.code) if block.notes["run by"] == lanes.LANES else _run_by(block)
    if block.language == "text":
        return "a text with commands is a console block" if "\n$ " in f"\n{block.code}" else None
    if block.language in SHOWN:
        return None
    if block.language in SETTINGS:
        return _settings(block, environment)
    if block.language not in PARSED:
        known = ", ".join((*PARSED, *SETTINGS, *SHOWN))
        return (
            f"{block.language} is not run here. Known are {known}. Else put this before it: "
            "<!-- run by: tests/… --> (a test that takes it from the page and runs it)"
        )
    try:
        parsed = PARSED[block.language](block.code)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        return f"it is no {block.language}: {error}"
    if "body of" in block.notes:
        return _body(block.notes["body of"], parsed)
    return _quoted(block) if "quoted from" in block.notes else None


def _run_by(block: Block) -> str | None:
    path = ROOT / block.notes["run by"]
    if not path.is_file() or block.page.name not in path.read_text():
        return f"{block.notes['run by']} is no test that takes blocks from {block.page.name}"
    return None


def _body(workflow: str, body: Any) -> str | None:
    if workflow not in WORKFLOWS:
        return f"{workflow} is not one of {', '.join(WORKFLOWS)}"
    try:
        validate(WORKFLOWS[workflow].request, (), body)
    except InvalidJob as error:
        return f"{workflow} refuses it: {error}"
    return None


def _settings(block: Block, environment: Callable[[Mapping[str, str]], None]) -> str | None:
    lines = [line for line in block.code.splitlines() if line.strip() and not line.startswith(("#", "["))]
    environment(dict(line.strip().split("=", 1) for line in lines))
    try:
        read()
    except (ConfigurationError, ValidationError) as error:
        return f"the settings are refused: {error}"
    return None


def _bare(tree: ast.AST) -> str:
    """A definition without its docstring and annotations: what a page leaves out when it quotes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:]
            if not isinstance(node, ast.ClassDef):
                node.returns = None
                for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                    argument.annotation = None
    return ast.dump(tree)


def _quoted(block: Block) -> str | None:
    path = ROOT / block.notes["quoted from"]
    if not path.is_file():
        return f"there is no {block.notes['quoted from']}"
    there = {_bare(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)}
    lost = [ast.unparse(node) for node in ast.parse(block.code).body if _bare(node) not in there]
    return f"{block.notes['quoted from']} does not have this any more: {lost[0]}" if lost else None
