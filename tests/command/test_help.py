"""`--help`: every command has a whole page, what it says is so, and docs/reference is made of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from config.settings import PREFIX, Settings
from providers.trigger import workflow_names
from tasks.ways import WORKFLOWS
from workflows.command import settle as root
from workflows.command.exits import MEANING, Exit
from workflows.command.page import VARIABLES, Page
from workflows.command.reference import commands, texts

from .conftest import House, Settle

ROOT = Path(__file__).parents[2]
ALL = commands(root, click.Context(root))
NAMES = list(ALL)


def _command(name: str) -> Page:
    found = ALL[name]
    assert isinstance(found, Page)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_whole_page(settle: Settle, name: str) -> None:
    """Usage, a description, every option with its text, examples, exit codes; environment where it reads it."""
    done, command = settle(*name.split(), "--help"), _command(name)
    assert (done.code, done.err) == (0, "")
    parts = ["Usage: settle", "Options:", "Examples:", "Exit codes:"] + (["Environment:"] if command.reads else [])
    assert [done.out.index(part) for part in parts] == sorted(done.out.index(part) for part in parts)
    assert command.help
    assert len(command.help.split("\n\n")) > 1 or name in ("resume",)
    assert command.examples
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert {Exit.DONE, Exit.USAGE} <= set(command.exits)
    assert "\x1b" not in done.out


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command and its options are there."""
    monkeypatch.chdir(tmp_path)
    for file in ("certificate.json", "rows.csv", "works.jsonl"):
        (tmp_path / file).touch()
    for line, what in _command(name).examples:
        assert what[0].isupper()
        assert len(line) <= 100
        bare = line.removeprefix('eval "$(').removesuffix(')"')
        (mine,) = [part for part in re.split(r" \| | >>? ", bare) if f"settle {name}" in part]
        arguments = shlex.split(mine.partition(f"settle {name}")[2])
        with _command(name).make_context(name, arguments + ["an-id"] * ("xargs" in mine)):
            pass


def test_every_variable_that_a_page_names_is_a_setting() -> None:
    """Or one of the few that others define."""
    named = {variable for name in NAMES for variable in _command(name).reads}
    assert named <= set(VARIABLES)
    for variable in VARIABLES:
        field = variable.removeprefix(PREFIX).split("__")[0].lower()
        assert field in Settings.model_fields or variable == "TRACEPARENT"


def test_commands_are_told_by_subject(settle: Settle) -> None:
    """Each once, under a heading; none is left over."""
    told = settle("--help").out
    assert "More:" not in told
    lines = [line.split()[0] for line in told.partition("Trigger:")[2].partition("Examples:")[0].splitlines() if line]
    assert sorted(word for word in lines if word in NAMES) == sorted(name for name in NAMES if " " not in name)
    for code, meaning in MEANING.items():
        assert f"\n  {code.value}" in told
        assert meaning.split()[0] in told
    assert settle().code == 2  # nothing was asked
    assert "Usage: settle" in settle().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "no command 'lst'; did you mean 'list'?; see settle --help"),
        (["xyz"], "no command 'xyz'; see settle --help"),
        (["list", "--provder", "myipr"], "--provider"),
        (["submit", "myipr.certfy", "--input", "body.json"], "did you mean 'myipr.certify'?"),
        (["pause", "--provider", "lettrlab"], "did you mean 'lettrlabs'?"),
        (["doctor", "--provider", "lettrlab"], "did you mean 'lettrlabs'?"),
        (["pause", "j", "--for", "soon"], "'soon' is no length of time; give seconds, or as in 30m, 2h, 7d"),
        (["pause", "j", "--for", "nan"], "'nan' is no length of time"),
        (["pause", "--provider", "myipr", "--for", "0"], "'0' is no length of time"),
        (["pause", "j", "--for", "60"], "--for: is for --provider"),
        (["resume", "--provider", "myipr", "--deadline", "60"], "--deadline: is for a job"),
        (["pause"], "give either a job's id or --provider"),
        (["resolve", "j"], "give exactly one of --remote-id, --resubmit and --fail"),
        (["status"], "Missing argument"),
        (["submit", "myipr.certify", "--input", "none.json"], "none.json"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
    ids=str,
)
def test_a_mistake_is_told_in_a_line(
    house: House, settle: Settle, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """With what may have been meant; exit code 2."""
    (tmp_path / "body.json").write_text("{}")
    done = settle(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("settle: ")
    assert done.err.count("\n") == 1


def test_the_reference_is_up_to_date() -> None:
    """`make reference` writes what stands there."""
    for name, text in texts().items():
        assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == text, "run make reference"


def test_workflows_are_completed_by_their_names() -> None:
    """Those that providers have are those that can be triggered."""
    assert workflow_names() == sorted(name for name in WORKFLOWS if not name.startswith("acme"))
