"""`make release`, done in a copy of this repository: what it refuses, what it makes, what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from audit.release import NotReleased, check, dated, numbered, release
from tests.docs.blocks import ROOT

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [0.1.0] - 2026-01-01\n\n- The first.\n"
PROJECT = '[project]\nname = "settle"\nversion = "0.9.1"\n'


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
    names = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    files = "\n".join(name for name in names if (ROOT / name).is_file())
    subprocess.run(["tar", "cf", str(folder / "all.tar"), "-T", "-"], cwd=ROOT, input=files, text=True, check=True)
    with tarfile.open(folder / "all.tar") as archive:
        archive.extractall(folder, filter="data")
    (folder / "all.tar").unlink()
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


def test_a_dry_run_changes_nothing_and_a_release_comes_back(repository: Path) -> None:
    """Built, tried from the wheel in a fresh environment, and only then committed and tagged."""
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

    told = release(repository, "7.0.0", do=True, cyclonedx=cyclonedx, site=site, day="2026-12-01")
    assert "every job ended as it should" in told
    assert git(repository, "log", "-1", "--format=%s") == "Release 7.0.0"
    assert git(repository, "rev-parse", "v7.0.0^{commit}") == git(repository, "rev-parse", "HEAD")
    assert git(repository, "diff", "--name-only", before).splitlines() == ["CHANGELOG.md", "pyproject.toml"]
    assert git(repository, "status", "--porcelain") == ""
    assert "## [7.0.0] - 2026-12-01" in (repository / "CHANGELOG.md").read_text()
    made = {path.name: path for path in (repository / "dist").iterdir()}
    assert set(made) == {"settle-7.0.0-py3-none-any.whl", "settle-7.0.0.tar.gz", "sbom.cdx.json"}
    assert json.loads(made["sbom.cdx.json"].read_text())["metadata"]["component"]["version"] == "7.0.0"
    packed = ZipFile(made["settle-7.0.0-py3-none-any.whl"]).namelist()
    assert "jobs/lua/move.lua" in packed
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
