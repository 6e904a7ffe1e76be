"""The house has one direction: each package knows those below it and none above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: From the ground up.
ORDER = ("patches", "jobs", "providers", "config", "tasks", "workflows")
PACKAGES = (*ORDER, "simulator")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
#: It wires, and names the packages whose modules Celery loads; nothing of theirs.
WIRING = Path("config/celery_app.py")
#: HTTP goes one way: through httpx's types, in one module. The simulator stands alone; it serves with aiohttp.
HTTP = {"httpx", "httpx2", "httpcore", "http.client", "httpx_aiohttp", "aiohttp", "requests", "urllib.request"}
HTTP_IMPORTS = {
    "providers/transport.py": {"aiohttp", "httpx"},
    "simulator/application.py": {"aiohttp"},
    "simulator/control.py": {"aiohttp", "httpx"},
    "simulator/exchange.py": {"aiohttp"},
    "simulator/samples.py": {"httpx"},
}
#: What a job is does not depend on how it is woken or how a provider is called.
FORBIDDEN_BELOW = {"celery", "kombu", "billiard", "flower", "httpx", "httpx_aiohttp", "aiohttp", "requests", "urllib3"}


def imported(source: str, module: Path) -> Iterator[str]:
    """The full names of all that a module imports, at any depth of its code."""
    package = module.parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module or "") if part)
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "__import__",
            "importlib.import_module",
            "import_module",
        }:
            name = node.args[0] if node.args else None
            yield str(name.value) if isinstance(name, ast.Constant) else ""


def may_import(package: str) -> set[str]:
    """The packages of ours that a package may know."""
    if package == "simulator":
        return {"simulator"}
    below = set(ORDER[: ORDER.index(package) + 1])
    return below | {"simulator"} if package == "workflows" else below


def violations(source: str, module: Path) -> list[str]:
    """What a module imports although it must not."""
    allowed = may_import(module.parts[0])
    found = []
    for name in imported(source, module):
        package = name.partition(".")[0]
        if package in PACKAGES and package not in allowed and not (module == WIRING and name in ("tasks", "workflows")):
            found.append(name)
        if module.parts[0] == "jobs" and package in FORBIDDEN_BELOW:
            found.append(name)
    return found


def test_there_are_modules_to_look_at() -> None:
    """Every package of the house is looked at."""
    assert {module.parts[0] for module in MODULES} == set(PACKAGES)
    assert WIRING in MODULES


def test_imports_run_one_way() -> None:
    """Each module imports its own package and those below it; the simulator stands alone."""
    found = {str(module): violations((ROOT / module).read_text(), module) for module in MODULES}
    assert {module: names for module, names in found.items() if names} == {}


def test_only_the_settings_read_the_environment() -> None:
    """One module reads the environment, so that one page can document it."""
    reads = re.compile(r"\b(?:environ|environb|getenv|getenvb|putenv)\b")
    found = {str(module) for module in MODULES if reads.search((ROOT / module).read_text())}
    assert found <= {"config/settings.py"}


def http_imports(source: str, module: Path) -> set[str]:
    """The HTTP libraries that a module imports."""
    names = set(imported(source, module))
    return {library for library in HTTP for name in names if name == library or name.startswith(f"{library}.")}


def test_http_libraries_are_imported_in_one_module() -> None:
    """So that another library is a change of that module, and no call goes another way."""
    found = {str(module): http_imports((ROOT / module).read_text(), module) for module in MODULES}
    assert {module: names for module, names in found.items() if names} == HTTP_IMPORTS


@pytest.mark.parametrize(
    "source",
    ["import httpx", "import aiohttp.abc", "from httpx import URL", "from urllib import request", "import http.client"],
)
def test_an_import_of_an_http_library_is_noticed(source: str) -> None:
    """The rule above can fail."""
    assert len(http_imports(source, Path("providers/x.py"))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("jobs/x.py", "import celery"),
        ("jobs/x.py", "from httpx import Client"),
        ("jobs/x.py", "from providers.base import Provider"),
        ("jobs/x.py", "def f():\n    import tasks.poll"),
        ("jobs/x.py", "if TYPE_CHECKING:\n    from config import settings"),
        ("providers/x.py", "from config.settings import settings"),
        ("providers/x.py", "class A:\n    def f(self):\n        from tasks import poll"),
        ("config/x.py", "import tasks"),
        ("config/celery_app.py", "from tasks import poll"),
        ("config/celery_app.py", "import tasks.poll"),
        ("config/celery_app.py", "import simulator"),
        ("tasks/x.py", "from workflows.myipr import certify"),
        ("tasks/x.py", "import simulator"),
        ("tasks/x.py", "importlib.import_module('workflows')"),
        ("simulator/x.py", "from jobs.clock import Clock"),
        ("simulator/sub/x.py", "import workflows"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, source: str) -> None:
    """The rule above can fail."""
    assert len(violations(source, Path(module))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("jobs/x.py", "from jobs.states import JobState\nimport redis"),
        ("jobs/x.py", "from . import states\nfrom .states import JobState"),
        ("simulator/sub/x.py", "from ..world import World"),
        ("tasks/x.py", "from config.runtime import runtime\nfrom jobs.record import Job\nimport celery"),
        ("config/celery_app.py", "import tasks\nimport workflows"),
        ("workflows/x.py", "def demo():\n    from simulator import running"),
    ],
)
def test_a_right_import_is_left_alone(module: str, source: str) -> None:
    """The rule above does not cry for nothing."""
    assert violations(source, Path(module)) == []
