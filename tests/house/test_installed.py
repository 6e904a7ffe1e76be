"""Providers and workflows of other packages: really installed, found by their entry points, and refused by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded import EmbeddedRedis
from tests.forked import python
from tests.packages import install, tiny

#: Each test starts processes that import all of Settle.
pytestmark = pytest.mark.timeout(180)

PROVIDER = """
from providers.base import Operation, Provider, Request
from providers.settings import ProviderSettings

class Settings(ProviderSettings):
    colour: str = "red"

class Make(Operation):
    name = "make"
    request = Request
    def intent(self, request, job_id): return {}
    async def submit(self, request, intent): return {}
    async def locate(self, request, intent): ...
    async def observe(self, job): ...

class Third(Provider):
    name = "third"
    settings_type = Settings
    operations = (Make,)
    def headers(self): return {}

PROVIDER = Third
"""
WORKFLOW = """
from tasks.poll import poll
from tasks.submit import submit
from tasks.ways import workflow

@workflow("third.make")
def make(job_id):
    return submit.si(job_id) | poll.si(job_id)
"""
#: Prints all that a process finds, after what every process of Settle does at its start.
LOOK = """
from config.celery_app import app
from config.settings import settings
from providers import discover
from tasks.ways import WORKFLOWS
app.loader.import_default_modules()
print(*discover(), "|", *sorted(WORKFLOWS), "|", getattr(settings(), "third", None))
"""
OURS = "commonsdb lettrlabs myipr unique_tokens"


def _look(path: Path, code: str = LOOK, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(path), "SETTLE_REDIS_URL": "redis://127.0.0.1:1/0", **environment}
    return python("-c", code, env=variables)


def _put(tmp_path: Path, *packages: dict[str, str]) -> Path:
    target = tmp_path / "installed"
    target.mkdir()
    for number, files in enumerate(packages):
        install(files, tmp_path / f"source-{number}", target)
    return target


@pytest.fixture(scope="module")
def wrong_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with both entry points, installed once; each test puts its own code in."""
    tmp = tmp_path_factory.mktemp("wrong-one")
    points = {"providers": "wrong_one.provider", "workflows": "wrong_one.flow"}
    return _put(tmp, tiny("wrong-one", **points, provider=PROVIDER, flow=WORKFLOW))


def _spoilt(wrong_one: Path, tmp_path: Path, **modules: str) -> Path:
    target = tmp_path / "installed"
    shutil.copytree(wrong_one, target)
    for name, code in modules.items():
        (target / "wrong_one" / f"{name}.py").write_text(code)
    return target


def _good(value: str = "third_party.provider") -> dict[str, str]:
    return tiny("third-party", providers=value, workflows="third_party.workflow", provider=PROVIDER, workflow=WORKFLOW)


@pytest.mark.parametrize("value", ["third_party.provider", "third_party.provider:Third"])
def test_a_package_brings_its_provider_workflow_and_settings(tmp_path: Path, value: str) -> None:
    """By a module or by a class; its own setting is read from the environment."""
    seen = _look(_put(tmp_path, _good(value)), SETTLE_THIRD__COLOUR="blue", SETTLE_THIRD__RATE="7")
    assert seen.returncode == 0, seen.stderr
    providers, workflows, settings = seen.stdout.split(" | ")
    assert providers == "commonsdb group lettrlabs myipr third unique_tokens"
    assert {"third.make", "myipr.certify"} <= set(workflows.split())
    assert "colour='blue'" in settings
    assert "rate=7.0" in settings


def test_its_settings_are_strict(tmp_path: Path) -> None:
    """A misspelt variable is refused by name, as one of ours."""
    seen = _look(_put(tmp_path, _good()), SETTLE_THIRD__COLOR="blue")
    assert "SETTLE_THIRD__COLOR" in seen.stderr
    assert seen.returncode != 0


def test_without_the_package_its_variables_are_refused(tmp_path: Path) -> None:
    """A worker on which the package is missing does not start and take its jobs for something else."""
    seen = _look(tmp_path, SETTLE_THIRD__COLOUR="blue")
    assert "SETTLE_THIRD__COLOUR is not a setting" in seen.stderr


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "names no PROVIDER"),
        ("PROVIDER = 7", "not a subclass of settle_jobs.provider.Provider"),
        (PROVIDER.replace('name = "third"', 'name = "myipr"'), "'myipr' belongs to Settle itself"),
        (PROVIDER.replace('name = "third"', 'name = "The Third"'), "name: 'The Third' must be small letters"),
        (PROVIDER.replace('name = "third"', 'name = "a__b"'), "name: 'a__b' must be"),
        (PROVIDER.replace('name = "third"', 'name = "submit"'), "name: 'submit' must be"),
        (PROVIDER.replace('    name = "third"\n', ""), "name: None must be"),
        (PROVIDER.replace("    def headers(self): return {}\n", ""), "Third: write headers"),
        (PROVIDER.replace("    async def locate(self, request, intent): ...\n", ""), "Make: write locate"),
        (PROVIDER.replace("    request = Request\n", ""), "Make.request: must be set"),
        (PROVIDER.replace("operations = (Make,)", "operations = ()"), "operations: name at least one"),
        (PROVIDER.replace("operations = (Make,)", "operations = (7,)"), "operations: 7 is not a subclass"),
        (PROVIDER.replace("(ProviderSettings)", "(Request)"), "settings_type: must be a subclass"),
    ],
    ids=[
        "import", "no-provider", "no-class", "ours", "letters", "delimiter", "stage", "nameless", "headers", "locate",
        "request", "empty", "strange", "settings",
    ],
)  # fmt: skip
def test_a_wrong_provider_is_refused_with_its_package(tmp_path: Path, wrong_one: Path, code: str, told: str) -> None:
    """The message names the package, the entry point and what to correct."""
    seen = _look(_spoilt(wrong_one, tmp_path, provider=code))
    last = seen.stderr.strip().splitlines()[-1]
    assert "ConfigurationError: package wrong-one, entry point settle.providers: it = wrong_one.provider: " in last
    assert told in last


def test_one_message_tells_of_all_that_are_wrong(tmp_path: Path) -> None:
    """Two packages of one name and a broken third: whoever reads it can correct all of them at once."""
    packages = [tiny(name, providers=f"{name}.provider", provider=PROVIDER) for name in ("first", "second")]
    broken = tiny("zero", providers="zero.provider", provider="raise RuntimeError('no luck')")
    last = _look(_put(tmp_path, *packages, broken)).stderr.strip().splitlines()[-1]
    assert "package second" in last
    assert "the name 'third' belongs to first: choose another" in last
    assert "package zero" in last
    assert "RuntimeError: no luck" in last


def test_a_provider_named_like_a_setting_is_refused(tmp_path: Path, wrong_one: Path) -> None:
    """`SETTLE_FLOWER__…` cannot mean two things."""
    code = PROVIDER.replace('name = "third"', 'name = "flower"')
    seen = _look(_spoilt(wrong_one, tmp_path, provider=code))
    assert "ConfigurationError: provider flower: named like a setting" in seen.stderr


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        (
            WORKFLOW.replace("third.make", "myipr.certify"),
            "workflow myipr.certify is there already, in workflows.myipr",
        ),
        (WORKFLOW.replace("third.make", "fourth.make"), "there is no provider 'fourth'"),
        (WORKFLOW.replace("third.make", "third.burn"), "third has no operation 'burn'"),
    ],
    ids=["import", "ours", "provider", "operation"],
)
def test_a_wrong_workflow_is_refused_with_its_package(tmp_path: Path, wrong_one: Path, code: str, told: str) -> None:
    """Likewise, when a process loads the workflows."""
    last = _look(_spoilt(wrong_one, tmp_path, flow=code)).stderr.strip().splitlines()[-1]
    assert "ConfigurationError: package wrong-one, entry point settle.workflows: it = wrong_one.flow: " in last
    assert told in last


def test_people_see_one_line(tmp_path: Path, wrong_one: Path) -> None:
    """The command says it without a traceback, with the exit code of a wrong set-up; a worker does not start."""
    path = _spoilt(wrong_one, tmp_path, provider="x = 1")
    with EmbeddedRedis(tmp_path / "redis") as server:
        environment = {"PYTHONPATH": str(path), "SETTLE_REDIS_URL": server.url}
        for arguments, code in (
            (["-m", "workflows.command", "list"], 5),
            (["-m", "celery", "-A", "config.celery_app", "worker", "-P", "solo"], None),
        ):
            done = subprocess.run(
                [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == code if code is not None else done.returncode
            assert "package wrong-one" in done.stderr
            if code is not None:
                assert done.stderr.startswith("settle: package wrong-one")
                assert len(done.stderr.splitlines()) == 1
