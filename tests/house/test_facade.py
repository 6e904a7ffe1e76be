"""What authors of providers import: their page has all of it, and its example needs nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest

from settle_jobs import PACKAGES
from tests.packages import ROOT, blocks

PAGE = ROOT / "docs" / "add-a-provider.md"
FACADE = ("settle_jobs.provider", "settle_jobs.workflow")


def _from_settle(source: str) -> set[tuple[str, str]]:
    """Each import of Settle's, as module and name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "", alias.name) for alias in node.names}
    return {(module, name) for module, name in found if module.partition(".")[0] in {*PACKAGES, "settle_jobs"}}


def test_the_tutorial_imports_only_the_facade() -> None:
    """Both of its modules; a name that the facade does not promise is none of it."""
    code = {name: text for name, text in blocks(PAGE).items() if name.endswith(".py")}
    for file, module in zip(("acme_prints/provider.py", "acme_prints/workflow.py"), FACADE, strict=True):
        imported = _from_settle(code.pop(file))
        assert imported
        assert {where for where, _ in imported} == {module}
        assert {name for _, name in imported} <= set(import_module(module).__all__)
    assert code == {}


@pytest.mark.parametrize("module", FACADE)
def test_the_page_has_every_name_of_the_facade(module: str) -> None:
    """And no other: the rows of a module are those from its name to the next one's."""
    table = PAGE.read_text().partition("## What to import")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|(.*?)\|(.*?)\|", table, re.M)
    current, named = "", []
    for where, names in rows:
        current = where.strip(" `") or current
        if current == module:
            named += re.findall(r"`(\w+)`", names)
    exported = import_module(module).__all__
    assert sorted(named) == sorted(exported)
    assert all(hasattr(import_module(module), name) for name in exported)


@pytest.mark.parametrize(
    ("module", "loaded"),
    [("settle_jobs", set()), ("settle_jobs.provider", {"jobs", "providers"})],
)
def test_the_facade_loads_no_more_than_it_needs(module: str, loaded: set[str]) -> None:
    """`config` imports the first before anything else, and a provider imports the second while settings are read."""
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) & set(PACKAGES) == loaded
