"""What a public forge reads: the workflow runs what CI runs, and each file names only what is there."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packages import ROOT
from workflows.command import settle

GITHUB = ROOT / ".github"
HOOKS = ROOT / ".pre-commit-config.yaml"
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").iterdir()) if path.name != "config.yml"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def _yaml(path: Path) -> dict[str, Any]:
    """A file as strings, so that `on` is no boolean and 3.10 is not 3.1."""
    loaded = yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506
    assert isinstance(loaded, dict)
    return loaded


WORKFLOW = _yaml(GITHUB / "workflows" / "ci.yml")


def _steps(job: str, key: str) -> list[Any]:
    return [step[key] for step in WORKFLOW["jobs"][job]["steps"] if key in step]


@pytest.mark.parametrize("path", [*sorted(GITHUB.rglob("*.yml")), HOOKS], ids=lambda path: path.name)
def test_every_file_is_yaml(path: Path) -> None:
    """As YAML's own types, too."""
    assert yaml.safe_load(path.read_text())
    assert "\t" not in path.read_text()


def test_the_workflow_runs_what_ci_runs() -> None:
    """For each push to main and each pull request, with rights to read only."""
    assert set(WORKFLOW["on"]) == {"push", "pull_request"}
    assert WORKFLOW["on"]["push"]["branches"] == ["main"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert _steps("everything", "run")[-1] == ".ci/run"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for job in WORKFLOW["jobs"].values():
        assert int(job["timeout-minutes"]) <= 120


def test_the_workflow_has_every_python() -> None:
    """The oldest is `python3` for the script, the newest is the one that it looks for; the others run the tests."""
    (versions,) = (
        given["python-version"].split() for given in _steps("everything", "with") if "python-version" in given
    )
    assert versions == [PYTHONS[-1], PYTHONS[0]]
    assert WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["python"] == PYTHONS[1:-1]
    assert f"python{PYTHONS[-1]}" in (ROOT / ".ci" / "newest-python").read_text()
    above = f"3.{int(PYTHONS[-1].partition('.')[2]) + 1}"
    assert PROJECT["requires-python"] == f">={PYTHONS[0]},<{above}"


def test_every_target_that_is_named_exists() -> None:
    """In the workflow, the hooks and the template of a pull request."""
    named = []
    for path in (GITHUB / "workflows" / "ci.yml", HOOKS, GITHUB / "pull_request_template.md"):
        named += re.findall(r"\bmake ([a-z-]+)", path.read_text())
    assert {"test", "lint", "types", "check"} <= set(named) <= TARGETS


def test_the_hooks_fetch_nothing() -> None:
    """They are the pinned tools of .venv, called through make."""
    hooks = [(repo["repo"], hook) for repo in _yaml(HOOKS)["repos"] for hook in repo["hooks"]]
    assert len(hooks) == 2
    for repo, hook in hooks:
        assert (repo, hook["language"], hook["pass_filenames"]) == ("local", "system", "false")
        assert hook["entry"] == f"make {hook['id']}"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_can_be_filled_in(path: Path) -> None:
    """Name and description, fields with ids and labels of their own, and at least one that must be filled in."""
    form = _yaml(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    for key in (lambda field: field["id"], lambda field: field["attributes"]["label"]):
        assert len({key(field) for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") == "true" for field in fields)
    for command in re.findall(r"`settle ([a-z]+)", path.read_text()):
        assert command in settle.list_commands(None)  # type: ignore[arg-type]


def test_a_weakness_is_not_reported_as_an_issue() -> None:
    """The chooser sends it to the private form, at the project's own address."""
    chooser = _yaml(GITHUB / "ISSUE_TEMPLATE" / "config.yml")
    assert chooser["blank_issues_enabled"] == "false"
    (link,) = chooser["contact_links"]
    assert link["url"] == f"{PROJECT['urls']['Homepage']}/security/advisories/new"


def test_updates_are_looked_for_where_requirements_are() -> None:
    """Each folder holds what its ecosystem reads."""
    reads = {"pip": "pyproject.toml", "npm": "package-lock.json", "docker": "Dockerfile", "github-actions": ".github"}
    updates = _yaml(GITHUB / "dependabot.yml")["updates"]
    assert {each["package-ecosystem"] for each in updates} == set(reads)
    for each in updates:
        for folder in each.get("directories", [each.get("directory")]):
            assert (ROOT / folder.strip("/") / reads[each["package-ecosystem"]]).exists()


def test_owners_are_of_the_projects_own_organisation() -> None:
    """One line for everything."""
    (line,) = (GITHUB / "CODEOWNERS").read_text().splitlines()
    organisation = PROJECT["urls"]["Homepage"].split("/")[-2]
    assert re.fullmatch(rf"\* @{organisation}/[a-z]+", line)


def test_an_editor_breaks_lines_where_ruff_does() -> None:
    """The same number in both places."""
    parser = configparser.ConfigParser()
    parser.read_string(f"[top]\n{(ROOT / '.editorconfig').read_text()}")
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert parser["top"]["root"] == "true"
    assert parser["*.py"]["max_line_length"] == str(ruff["line-length"])
