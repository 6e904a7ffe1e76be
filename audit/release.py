"""A release, made in a clone of the last commit and tried before it counts: `make release VERSION=x.y.z`.

Nothing changes here until all of it has worked, and then only with `--do`: the commit and the tag come back to this
repository, the files to `dist/`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SET = re.compile(r'^version = "(.+)"$', re.M)
_UNRELEASED = "## [Unreleased]\n"


class NotReleased(Exception):
    """Why there is no release; the message says what to do."""


def run(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a program; returns what it printed.

    Raises:
        NotReleased: it failed; the message has its output.
    """
    done = subprocess.run(  # noqa: S603
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotReleased(f"{Path(command[0]).name} {' '.join(map(str, command[1:]))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def check(repository: Path, version: str) -> None:
    """Whether the repository may be released as it is.

    Raises:
        NotReleased: it may not.
    """
    if not _VERSION.fullmatch(version):
        raise NotReleased(f"VERSION={version}: give three numbers, as in 0.2.0")
    if (branch := run("git", "branch", "--show-current", folder=repository)) != "main":
        raise NotReleased(f"this is {branch or 'no branch'}: release from main")
    if changed := run("git", "status", "--porcelain", folder=repository):
        raise NotReleased(f"the tree is not clean: commit or remove\n{changed}")
    if run("git", "tag", "--list", f"v{version}", folder=repository):
        raise NotReleased(f"v{version} is there already: choose a higher version")


def dated(changelog: str, version: str, day: str) -> str:
    """The changelog with what was unreleased under the version, and an empty section above it.

    Raises:
        NotReleased: there is nothing to release.
    """
    before, found, after = changelog.partition(_UNRELEASED)
    ours = re.split(r"^## ", after, maxsplit=1, flags=re.M)[0]
    if not found or "- " not in ours:
        raise NotReleased("CHANGELOG.md: nothing is under [Unreleased]; say there what changes for users")
    return f"{before}{_UNRELEASED}\n## [{version}] - {day}\n{after}"


def numbered(project: str, version: str) -> str:
    """`pyproject.toml` with the version; it stands nowhere else.

    Raises:
        NotReleased: the version is not higher than the one before.
    """
    (last,) = _SET.findall(project)
    if tuple(map(int, version.split("."))) <= tuple(map(int, last.split("."))):
        raise NotReleased(f"VERSION={version}: must be higher than {last}")
    return _SET.sub(f'version = "{version}"', project)


def build(clone: Path, cyclonedx: Path) -> Path:
    """Build the source archive, the wheel and the bill of materials; returns the wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-d", "dist", folder=clone)
    options = ("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible", "--validate")
    form = ("--spec-version", "1.6", "--output-format", "JSON", "--output-file", "sbom.cdx.json")
    run(cyclonedx, "requirements", "requirements.lock", *options, *form, folder=clone)
    run(sys.executable, "audit/check_sbom.py", folder=clone)
    (clone / "sbom.cdx.json").rename(clone / "dist" / "sbom.cdx.json")
    (wheel,) = (clone / "dist").glob("*.whl")
    return wheel


def try_wheel(wheel: Path, version: str, lock: Path, folder: Path, site: Path | None) -> str:
    """Install the wheel in a fresh environment, and run it from an empty folder; returns what the demo says at its end.

    Args:
        wheel: the file.
        version: what it must call itself.
        lock: the pinned requirements that it is installed with.
        folder: an empty one.
        site: a folder of packages that are installed already, instead of the lock: for a test without a network.

    Raises:
        NotReleased: it does not work by itself.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SETTLE_", "PYTHON"))}
    venv.create(folder / "fresh")
    fresh = folder / "fresh" / "bin"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        fresh / "python",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    )
    if site is None:
        run(*pip, "--require-hashes", "-r", lock, folder=folder, environment=environment)
    else:
        (packages,) = (folder / "fresh" / "lib").glob("python*/site-packages")
        (packages / "borrowed.pth").write_text(f"{site}\n")
    run(*pip, "--no-deps", "--no-index", wheel, folder=folder, environment=environment)
    if not (said := run(fresh / "settle", "--version", folder=folder, environment=environment)).endswith(version):
        raise NotReleased(f"the wheel calls itself {said!r}, not {version}")
    where = run(fresh / "python", "-c", "import jobs; print(jobs.__file__)", folder=folder, environment=environment)
    if not Path(where).is_relative_to(folder):
        raise NotReleased("the fresh environment runs other code than that of the wheel")
    path = f"{fresh}{os.pathsep}{environment['PATH']}"
    return run(fresh / "settle", "demo", folder=folder, environment={**environment, "PATH": path}).splitlines()[-1]


def release(
    repository: Path, version: str, *, do: bool, cyclonedx: Path, site: Path | None = None, day: str | None = None
) -> str:
    """Make the release in a clone, try it, and take it over if it is wanted; returns what was done, in words.

    Raises:
        NotReleased: something is not as it should be, and nothing has changed.
    """
    check(repository, version)
    with tempfile.TemporaryDirectory() as scratch:
        clone, empty = Path(scratch) / "clone", Path(scratch) / "empty"
        empty.mkdir()
        run("git", "clone", "--quiet", "--no-hardlinks", repository, clone, folder=repository)
        changelog, project = clone / "CHANGELOG.md", clone / "pyproject.toml"
        project.write_text(numbered(project.read_text(), version))
        changelog.write_text(dated(changelog.read_text(), version, day or f"{datetime.now(UTC):%Y-%m-%d}"))
        wheel = build(clone, cyclonedx)
        demo = try_wheel(wheel, version, clone / "requirements.lock", empty, site)
        names = sorted(path.name for path in (clone / "dist").iterdir())
        told = f"{version}: {', '.join(names)}; from the wheel: {demo}"
        if not do:
            return f"{told}\nNothing was changed. DRY_RUN=0 makes the commit and the tag v{version}."
        for key in ("user.name", "user.email"):
            run("git", "config", key, run("git", "config", key, folder=repository), folder=clone)
        run("git", "commit", "--quiet", "--message", f"Release {version}", "--all", folder=clone)
        run("git", "tag", "--annotate", f"v{version}", "--message", f"Settle {version}", folder=clone)
        run("git", "pull", "--quiet", "--ff-only", "--tags", clone, "main", folder=repository)
        (repository / "dist").mkdir(exist_ok=True)
        for name in names:
            (repository / "dist" / name).write_bytes((clone / "dist" / name).read_bytes())
    return f"{told}\nCommitted and tagged v{version}: push both with `git push --follow-tags`."


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--do", action="store_true", help="take commit and tag over")
    parser.add_argument("--cyclonedx", type=Path, required=True, help="the program that writes the bill of materials")
    parser.add_argument("--site", type=Path, help="try the wheel with the packages of this folder: without a network")
    given = parser.parse_args()
    try:
        cyclonedx = given.cyclonedx.absolute()
        told = release(Path.cwd(), given.version, do=given.do, cyclonedx=cyclonedx, site=given.site)
    except NotReleased as error:
        sys.exit(f"no release: {error}")
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main()
