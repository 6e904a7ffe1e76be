"""A file of schedules is read as a whole, or refused with the field and the remedy for each that is wrong."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from config.settings import made_of
from jobs.errors import ConfigurationError
from workflows.schedules.table import Schedule, configured, read

for _module in ("commonsdb", "group", "lettrlabs", "myipr", "unique_tokens"):
    import_module(f"workflows.{_module}")

BODY = {"name": "Unmistakable", "category_id": "10", "hash": "ab" * 32, "size": "12"}
GOOD: dict[str, Any] = {"workflow": "myipr.certify", "crontab": "0 6 * * *", "kwargs": BODY}

PAGE = """
[nightly]
workflow = "settle.lettrlabs.delete"
crontab = "0 3 * * 1-5"
timezone = "Europe/Berlin"
catch_up = 3600
kwargs = { id = 17, deadline = 600 }

[morning-report]
workflow = "myipr.certify"
crontab = "0 6 * * *"
[morning-report.kwargs]
name = { "$tick" = "Report of %d.%m.%Y" }
category_id = "10"
hash = "abababababababababababababababababababababababababababababababab"
size = "12"
tags = { shop = "7" }
then = [{ task = "billing.paid", queue = "billing", kwargs = { sha256 = { "$from" = "remote_id" } } }]
"""


def _read(tmp_path: Path, tables: object, **options: Any) -> list[Schedule]:
    path = tmp_path / "schedules.json"
    path.write_text(tables if isinstance(tables, str) else json.dumps(tables))
    return read(path, **{"longest": 7 * 86400.0, **options})


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    """All there is to say, in both."""
    import tomllib

    path = tmp_path / "schedules.toml"
    path.write_text(PAGE)
    morning, nightly = read(path, longest=7 * 86400.0)
    assert (nightly.name, nightly.workflow, nightly.zone.key, nightly.late) == (
        "nightly", "lettrlabs.delete", "Europe/Berlin", 3600,
    )  # fmt: skip
    assert (morning.zone.key, morning.late) == ("UTC", 60)
    body = morning.body(1_800_000_000)
    assert body["name"] == "Report of 15.01.2027"
    assert body["tags"] == {"shop": "7", "schedule": "morning-report"}
    assert body["then"][0]["kwargs"] == {"sha256": {"$from": "remote_id"}}
    again = _read(tmp_path, tomllib.loads(PAGE))
    assert [each.body(1_800_000_000) for each in again] == [morning.body(1_800_000_000), nightly.body(1_800_000_000)]


def test_what_the_page_shows_can_be_run(tmp_path: Path) -> None:
    """Both of its files: the one that is explained, and the one that is typed in."""
    page = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
    shown = re.findall(r"(?:```toml|<<'TOML')\n(.*?)\n(?:```|TOML)$", page, re.M | re.S)
    assert len(shown) == 2
    for text in shown:
        path = tmp_path / "schedules.toml"
        path.write_text(text)
        (letters,) = read(path, longest=7 * 86400.0)
        assert letters.body(1_800_000_000)["conversions"][0]["orderId"] == "SO-20270115"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"workflow": "myipr.nothing"}, r"nightly\.workflow: 'myipr\.nothing' is not one of commonsdb\.declare, "),
        ({"workflow": None}, r"nightly\.workflow: "),
        ({"crontab": "0 25 * * *"}, r"nightly\.crontab: hour: '25'"),
        ({"crontab": "0 6 31 2 *"}, r"nightly\.crontab: never comes"),
        ({"timezone": "Europe/Nowhere"}, r"nightly\.timezone: not a time zone; use a name such as Europe/Berlin"),
        ({"timezone": "../../etc/passwd"}, r"nightly\.timezone: not a time zone"),
        ({"timezone": ""}, r"nightly\.timezone: not a time zone"),
        ({"catch_up": -1}, r"nightly\.catch_up: .*greater than or equal to 0"),
        ({"catch_up": 90_000}, r"nightly\.catch_up: .*less than or equal to 86400"),
        ({"catch_up": 3600, "longest": 1800}, r"nightly\.catch_up: must be below SETTLE_RETENTION"),
        ({"cron": "* * * * *"}, r"nightly\.cron: Extra inputs are not permitted"),
        ({"kwargs": {**BODY, "size": "much"}}, r"nightly\.kwargs\.size: "),
        ({"kwargs": {**BODY, "colour": "red"}}, r"nightly\.kwargs\.colour: "),
        ({"kwargs": {**BODY, "deadline": -1}}, r"nightly\.kwargs\.deadline: "),
        ({"kwargs": {**BODY, "then": [{"workflow": "none"}]}}, r"nightly\.kwargs\.then\.0"),
        ({"kwargs": {**BODY, "tags": {"schedule": "x"}}}, r"nightly\.kwargs\.tags: give a table without schedule"),
        ({"kwargs": {**BODY, "tags": "x"}}, r"nightly\.kwargs\.tags: give a table"),
        ({"kwargs": {**BODY, "name": {"$tick": 1}}}, r"nightly\.kwargs\.\$tick: give it alone, with a text"),
        ({"kwargs": {**BODY, "name": {"$tick": "%Y", "x": 1}}}, r"nightly\.kwargs\.\$tick: give it alone"),
        ({"kwargs": "x"}, r"nightly\.kwargs: "),
    ],
    ids=range(20),
)
def test_each_field_that_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """With the remedy; values of a request are never quoted."""
    longest = {"longest": change.pop("longest")} if "longest" in change else {}
    table = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(ConfigurationError, match=told) as refused:
        _read(tmp_path, {"nightly": table}, **longest)
    assert "Unmistakable" not in str(refused.value)
    assert str(refused.value).startswith("schedules.json: nightly.")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """A good one beside them does not start alone: somebody would wait for the others."""
    with pytest.raises(ConfigurationError) as refused:
        _read(tmp_path, {"a": {**GOOD, "crontab": ""}, "b": {**GOOD, "workflow": "x"}, "c": GOOD, "d": 1, "e f": GOOD})
    for part in ("a.crontab: ", "b.workflow: ", "d.request: ", "e f.name: use 1 to 100 letters"):
        assert part in str(refused.value)
    assert "c." not in str(refused.value).replace("etc.", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "neither TOML nor JSON at line 1"),
        ("[]", "has no schedule"),
        ("{}", "has no schedule"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    """Its name and the line; nothing of what stands there."""
    with pytest.raises(ConfigurationError, match=rf"SETTLE_SCHEDULES: schedules\.json .*{told}|{told}"):
        _read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Or no file at all: the variable is named."""
    with pytest.raises(ConfigurationError, match=r"SETTLE_SCHEDULES: .* cannot be read"):
        configured(made_of(schedules=tmp_path / "none.toml", redis_url="redis://nowhere"))
    with pytest.raises(ConfigurationError, match="set SETTLE_SCHEDULES"):
        configured(made_of(redis_url="redis://nowhere"))
