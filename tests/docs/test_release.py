"""`make release`, done in a copy of this repository: what it refuses, what it makes, what it leaves alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from audit.release import NotReleased, check, dated, numbered, release
from tests.docs import checkout
from tests.docs.blocks import ROOT, blocks
from tests.docs.conftest import bare_environment
from tests.docs.console import commands

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [0.1.0] - 2026-01-01\n\n- The first.\n"
PROJECT = '[project]\nname = "settle-jobs"\nversion = "0.9.1"\n'


def git(folder: Path, *arguments: str) -> str:
    """Run git; returns what it printed."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tree: Path, tmp_path: Path) -> Path:
    """A repository that a test may change."""
    git(tmp_path, "clone", "--quiet", str(tree), "settle")
    _named(tmp_path / "settle")
    return tmp_path / "settle"


def _named(folder: Path) -> None:
    git(folder, "config", "user.name", "A Maintainer")
    git(folder, "config", "user.email", "maintainer@example.org")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This working tree, as it is now, as the branch main of a repository of its own."""
    folder = tmp_path_factory.mktemp("repository") / "settle"
    folder.mkdir()
    checkout.copied(folder)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    _named(folder)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "Everything")
    return folder


def test_what_is_unreleased_gets_version_and_day() -> None:
    """And an empty section waits for what comes next."""
    made = dated(CHANGELOG, "0.2.0", "2026-12-01")
    assert made.startswith("# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- Something.\n")
    with pytest.raises(NotReleased, match="nothing is under"):
        dated(made, "0.3.0", "2026-12-02")


@pytest.mark.parametrize("version", ["0.9.1", "0.9.0", "0.8.9"])
def test_a_version_that_is_not_higher_is_refused(version: str) -> None:
    """0.10 is higher than 0.9, though it sorts before it as text."""
    assert 'version = "0.10.0"' in numbered(PROJECT, "0.10.0")
    with pytest.raises(NotReleased, match=r"must be higher than 0\.9\.1"):
        numbered(PROJECT, version)


def test_what_may_not_be_released_is_refused(repository: Path) -> None:
    """A wrong version, another branch, no branch, a tree with changes, a tag that is taken."""
    check(repository, "9.0.0")
    for version in ("9.0", "v9.0.0", "9.0.0rc1", ""):
        with pytest.raises(NotReleased, match="three numbers"):
            check(repository, version)
    (repository / "new.txt").write_text("not committed")
    with pytest.raises(NotReleased, match=r"not clean.*\n.*new\.txt"):
        check(repository, "9.0.0")
    (repository / "new.txt").unlink()
    git(repository, "tag", "v8.0.0")
    with pytest.raises(NotReleased, match=r"v8\.0\.0 is there already"):
        check(repository, "8.0.0")
    for arguments, told in ((("--quiet", "-b", "mainly"), "this is mainly"), (("--quiet", "--detach"), "no branch")):
        git(repository, "checkout", *arguments)
        with pytest.raises(NotReleased, match=told):
            check(repository, "9.0.0")
        git(repository, "checkout", "--quiet", "main")


def commands_of_the_page() -> list[str]:
    """What CONTRIBUTING.md has a maintainer type, for a version that is higher than any."""
    own = "tests/docs/test_release.py"
    page = [block for block in blocks(ROOT / "CONTRIBUTING.md") if block.notes.get("run by") == own]
    return [re.sub(r"VERSION=[\d.]+", "VERSION=7.0.0", each.text) for block in page for each in commands(block.code)]


def _set_up(repository: Path, cyclonedx: Path) -> dict[str, str]:
    """What `make release` finds, and packages that are installed already instead of an index."""
    checkout.installed(repository)
    (repository / ".venv-audit" / "bin").mkdir(parents=True)
    (repository / ".venv-audit" / "bin" / "cyclonedx-py").symlink_to(cyclonedx)
    (repository / ".venv-audit" / ".installed").touch()
    return {**bare_environment(), "BORROWED_SITE": sysconfig.get_path("purelib")}


def _shell(folder: Path, command: str, environment: dict[str, str]) -> str:
    """Run a command of the page; what it printed."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_commands_of_the_page_make_a_release(repository: Path, tree: Path, tmp_path: Path) -> None:
    """Built, tried from the wheel in a fresh environment, and only then committed and tagged; then pushed."""
    cyclonedx = Path(os.environ.get("CYCLONEDX", ROOT / ".venv-audit" / "bin" / "cyclonedx-py"))
    assert cyclonedx.exists(), "make test-docs sets up what writes the bill of materials"
    before = git(repository, "rev-parse", "HEAD")
    site = Path(sysconfig.get_path("purelib"))
    # What the first one builds and tries is what the second one would, so the demo is run once.
    broken = repository / "requirements.lock"
    whole = broken.read_text()
    broken.write_text(whole + "nothing-of-this-name==1.0 --hash=sha256:00\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Break it")
    with pytest.raises(NotReleased):
        release(repository, "7.0.0", do=True, cyclonedx=cyclonedx, site=site)
    assert git(repository, "log", "-1", "--format=%s") == "Break it"
    git(repository, "reset", "--quiet", "--hard", before)

    there = _set_up(repository, cyclonedx)
    dry, do, push = commands_of_the_page()
    assert (dry, push) == ("make release VERSION=7.0.0", "git push --follow-tags")
    assert do == f"{dry} DRY_RUN=0"
    # What it would run, but for what takes the release over; that is not run twice.
    steps = [_shell(repository, command.replace("make", "make --dry-run"), there) for command in (dry, do)]
    assert [step.count(" --do") for step in steps] == [0, 1]
    assert steps[1].replace(" --do", "").split() == steps[0].split()
    told = _shell(repository, do, there)
    assert "every job ended as it should" in told
    git(repository, "clone", "--quiet", "--bare", str(tree), str(tmp_path / "shared.git"))
    git(repository, "remote", "set-url", "origin", str(tmp_path / "shared.git"))
    _shell(repository, push, there)
    shared = [git(tmp_path / "shared.git", "rev-parse", name) for name in ("main", "v7.0.0^{commit}")]
    assert shared == [git(repository, "rev-parse", "HEAD")] * 2
    assert git(repository, "log", "-1", "--format=%s") == "Release 7.0.0"
    assert git(repository, "rev-parse", "v7.0.0^{commit}") == git(repository, "rev-parse", "HEAD")
    assert git(repository, "diff", "--name-only", before).splitlines() == ["CHANGELOG.md", "pyproject.toml"]
    assert git(repository, "status", "--porcelain") == ""
    assert f"## [7.0.0] - {datetime.now(UTC):%Y-}" in (repository / "CHANGELOG.md").read_text()
    made = {path.name: path for path in (repository / "dist").iterdir()}
    assert set(made) == {"settle_jobs-7.0.0-py3-none-any.whl", "settle_jobs-7.0.0.tar.gz", "sbom.cdx.json"}
    assert json.loads(made["sbom.cdx.json"].read_text())["metadata"]["component"]["version"] == "7.0.0"
    packed = ZipFile(made["settle_jobs-7.0.0-py3-none-any.whl"]).namelist()
    assert {"jobs/lua/move.lua", "jobs/py.typed"} <= set(packed)
    assert not [name for name in packed if name.startswith(("tests", "docs", "audit", "benchmarks"))]


def test_without_do_nothing_changes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps, and everything here is as it was; what is built and tried stands for it in words."""
    monkeypatch.setattr("audit.release.build", lambda clone, _: (clone / "dist").mkdir() or clone)
    monkeypatch.setattr("audit.release.try_wheel", lambda *_: "tried")
    before = git(repository, "for-each-ref"), git(repository, "rev-parse", "HEAD")
    told = release(repository, "7.5.0", do=False, cyclonedx=Path(sys.executable))
    assert "Nothing was changed" in told
    assert (git(repository, "for-each-ref"), git(repository, "rev-parse", "HEAD")) == before
    assert git(repository, "status", "--porcelain") == ""
    assert not (repository / "dist").exists()
