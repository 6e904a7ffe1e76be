"""docs/reference and the pictures are what the scripts make of the code; figures that are quoted are still so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.scripts.pictures import IMAGES, PICTURES, copies
from docs.scripts.reference import FOLDER, PAGES
from jobs.states import MOVES, JobState
from tasks.ways import WORKFLOWS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_what_the_code_says(name: str) -> None:
    """No page by hand, and none that lags behind."""
    assert (FOLDER / name).read_text() == PAGES[name](), "make reference writes it again"


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_what_the_code_says(name: str) -> None:
    """The same for what is drawn."""
    assert (IMAGES / name).read_text() == PICTURES[name](), "make reference draws it again"


def test_each_page_says_that_it_is_written() -> None:
    """Nobody edits one, and none is there that no script writes."""
    for path in FOLDER.glob("*.md"):
        assert "`make reference`" in path.read_text()[:300], path.name


def test_the_picture_of_the_states_has_every_move() -> None:
    """An arrow for each that leads on, a dot for each that ends without success."""
    text = (IMAGES / "states.svg").read_text()
    dots = {tuple(found.split(" to ")) for found in re.findall(r"<title>(\w+ to \w+)</title>", text)}
    ends = {JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED}
    assert dots == {(source.value, end.value) for source, targets in MOVES.items() for end in targets & ends}
    assert text.count("marker-end") == sum(len(targets - ends) for targets in MOVES.values())
    assert all(f">{state.value}</text>" in text for state in JobState)


def test_each_workflow_has_its_arguments() -> None:
    """Each in the section of its workflow."""
    text = (FOLDER / "workflows.md").read_text()
    for name, workflow in WORKFLOWS.items():
        if workflow.request.__module__.startswith("providers."):
            part = text.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
            for field, info in workflow.request.model_fields.items():
                assert f"| `{info.alias or field}` |" in part, (name, field)


def test_the_figures_of_why_countdowns_wait_are_those_of_the_benchmarks() -> None:
    """`make bench` writes new ones: then this page follows."""
    measured = (DOCS / "benchmarks.md").read_text()
    page = (DOCS / "why-countdowns-wait.md").read_text()
    rows = re.findall(r"^\| .+ \| (?:yes|no) \| ([\d,]+) \| ([\d.]+) \|$", page, re.M)
    assert len(rows) == 4
    for polls, cpu in rows:
        assert re.search(rf"\| {polls} \| \d+% \| [\d.]+ \| {re.escape(cpu)} \|", measured), (polls, cpu)
    assert copies() == [3**attempt for attempt in range(1, 7)]
