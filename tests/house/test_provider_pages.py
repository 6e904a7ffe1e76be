"""The page of a provider says of its settings and of its input what the code says."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from providers import discover
from providers.lettrlabs.records import ConvertRequest
from providers.settings import ProviderSettings
from workflows.command import settle
from workflows.command.bulk_lines import columns_of, read

PAGES = Path(__file__).parents[2] / "docs" / "providers"


@pytest.mark.parametrize("name", ["lettrlabs"])
def test_each_setting_of_the_provider_is_on_its_page(name: str) -> None:
    """And no other."""
    text = (PAGES / f"{name}.md").read_text()
    fields = {field.upper() for field in discover()[name].settings_type.model_fields}
    own = fields - {field.upper() for field in ProviderSettings.model_fields}
    named = set(re.findall(rf"SETTLE_{name.upper()}__([A-Z_]+)", text))
    assert named <= fields
    assert own <= named


def test_the_examples_of_lettrlabs_are_valid(tmp_path: Path) -> None:
    """The JSON body, and each row of the CSV file."""
    text = (PAGES / "lettrlabs.md").read_text()
    body = next(json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    ConvertRequest.model_validate(body)
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    assert len(list(csv.reader(table.splitlines()))) == 3
    path = tmp_path / "example.csv"
    path.write_text(table)
    rows = ConvertRequest.model_fields["conversions"].annotation.__args__[0]  # type: ignore[union-attr]
    for line in read(path, "csv", columns_of(rows)):
        assert line.error == ""
        rows.model_validate(line.body)


def test_the_options_of_submit_are_on_the_page() -> None:
    """Every option for many lines is explained."""
    command = settle.get_command(None, "submit")  # type: ignore[arg-type]
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    bulk = {"--format", "--batch", "--id-prefix", "--skip-bad", "--duplicates", "--report"}
    text = (PAGES / "lettrlabs.md").read_text()
    assert bulk <= options
    assert all(option in text for option in bulk)
