"""docs/simulator.md against the code: every open point has its number, every switch its row, settings and test."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from simulator.switches import AllSwitches, Switches

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulator.md").read_text()
#: How many points each contract leaves open: the page must have a row for each.
OPEN = {"commonsdb": 16, "myipr": 20, "unique_tokens": 19, "lettrlabs": 17}
#: What decides a point that is no switch.
OTHERWISE = ("option ", "fault ", "plan ", "none: ")


def settings(field: FieldInfo) -> str:
    """The settings of a switch as the page writes them, its default in front."""
    return f"**{_value(field.default)}**; {_kind(field.annotation)}"


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or "empty"


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin in (UnionType, Union):
        return " or ".join(_kind(argument) for argument in arguments)
    if origin is tuple:
        return f"any of {_kind(arguments[0])}" if get_origin(arguments[0]) is Literal else "texts"
    names = {bool: "false, true", int: "a number", float: "seconds", str: "a text", type(None): "none"}
    return names.get(annotation, "an object")


def section(provider: str) -> str:
    """The part of the page about one provider."""
    found = re.search(rf"^## {provider}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, provider
    return found[1]


def rows(provider: str) -> list[tuple[str, str, str, str]]:
    """Number (or place), point, what decides it, and test of each row."""
    return re.findall(r"^\| (§?[\d.]+) \| (.*?) \| (.*?) \| (.*?) \|$", section(provider), re.M)


def switches(provider: str) -> type[Switches]:
    """The switches of a provider."""
    found: type[Switches] = AllSwitches.model_fields[provider].annotation  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("provider", OPEN)
def test_every_open_point_has_a_row(provider: str) -> None:
    """Numbered without a gap, each told in words."""
    numbers = [int(number) for number, *_ in rows(provider) if number.isdigit()]
    assert numbers == list(range(1, OPEN[provider] + 1))
    assert all(len(point) > 5 for _, point, *_ in rows(provider))


@pytest.mark.parametrize("provider", OPEN)
def test_every_switch_is_in_the_table_with_its_settings(provider: str) -> None:
    """A switch that is not in the table is one that nobody finds; one that is not in the code cannot be set."""
    told = re.findall(r"`(\w+)` \((.*?)\)", "\n".join(decided for _, _, decided, _ in rows(provider)))
    fields = switches(provider).model_fields
    missing = [f"`{name}` ({settings(field)})" for name, field in fields.items() if name not in dict(told)]
    assert missing == [], "add these to their row in docs/simulator.md, and each to the CASES of its contract test"
    assert sorted(name for name, _ in told) == sorted(fields)
    for name, text in told:
        assert text == settings(fields[name]), name


@pytest.mark.parametrize("provider", OPEN)
def test_every_row_has_what_decides_it_and_a_test(provider: str) -> None:
    """A point without a switch says why; a switch is set in the test that its row names."""
    for number, _, decided, tests in rows(provider):
        names = re.findall(r"`(\w+)` \(", decided)
        assert names or decided.startswith(OTHERWISE), (number, decided)
        named = re.findall(r"`(\w+/test_\w+)(?:: (test_\w+))?`", tests)
        assert named or not names, number
        texts = [(ROOT / "tests" / f"{file}.py").read_text() for file, _ in named]
        for (_, function), text in zip(named, texts, strict=True):
            assert not function or f"def {function}(" in text, function
        for name in names:
            assert any(re.search(rf'"{name}"|\b{name}=', text) for text in texts), (number, name)


@pytest.mark.parametrize("provider", OPEN)
def test_each_description_names_its_point(provider: str) -> None:
    """The number in a switch's own description is that of its row."""
    chapter = {"commonsdb": "7", "myipr": "8", "unique_tokens": "10", "lettrlabs": "11"}[provider]
    for number, _, decided, _ in rows(provider):
        for name in re.findall(r"`(\w+)` \(", decided):
            place = switches(provider).model_fields[name].description.partition(":")[0]  # type: ignore[union-attr]
            if number.isdigit() and name not in Switches.model_fields:
                assert place == f"{chapter}.{number}", name
            elif name not in Switches.model_fields:
                assert not place.startswith(f"{chapter}."), name
