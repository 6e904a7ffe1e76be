"""The pages say nothing of the code that is not so: tests, settings and commands that they name are there."""

from __future__ import annotations

import re
from pathlib import Path

from config.settings import PREFIX, Settings
from providers import discover
from workflows.command import settle

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_each_test_that_reliability_names_exists() -> None:
    """The table of failures points at tests; a renamed one would be an empty promise."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = 0
    file = ""
    for token in re.findall(r"`([^`]+)`", text):
        if found := re.fullmatch(r"(\w+/test_\w+)(?:: (test_\w+))?", token):
            file = (ROOT / "tests" / f"{found[1]}.py").read_text()
            name = found[2]
        elif re.fullmatch(r"test_\w+", token):
            name = token
        else:
            continue
        named += 1
        assert name is None or f"def {name}(" in file, token
    assert named > 30


def test_each_setting_that_the_pages_name_exists() -> None:
    """A variable that nobody reads would be refused at start."""
    fields = set(Settings.model_fields)
    for page in PAGES:
        for variable in re.findall(rf"\b{PREFIX}([A-Z_]+?)(?:__[A-Z_]+)?\b", page.read_text()):
            assert variable.lower() in fields or variable in ("ACME",), f"{page.name}: {PREFIX}{variable}"


def test_each_setting_of_a_provider_that_the_pages_name_exists() -> None:
    """The field behind the two underscores, too."""
    for page in PAGES:
        for name, field in re.findall(rf"\b{PREFIX}([A-Z_]+?)__([A-Z_]+)\b", page.read_text()):
            kind = discover().get(name.lower())
            assert kind is None or field.lower() in kind.settings_type.model_fields, f"{page.name}: {name}__{field}"


def test_each_command_that_the_pages_name_exists() -> None:
    """`settle …` in a page can be typed."""
    known = set(settle.list_commands(None))  # type: ignore[arg-type]
    for page in PAGES:
        for command in re.findall(r"`settle ([a-z]+)", page.read_text()):
            assert command in known, f"{page.name}: settle {command}"
