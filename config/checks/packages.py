"""The packages: whether another one has, or would get, the name of one of Settle's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from config.checks.finding import Finding, warning
from settle_jobs import HOME, PACKAGES

_OWN = "settle-jobs"
_APART = "install Settle into an environment of its own"


def packages(folder: Path, owners: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Find modules that share a name with a package of Settle. One that is imported instead already stops the command.

    Args:
        folder: the current one; Celery puts it first on the path of a worker.
        owners: the distributions that install each top-level name, as `importlib.metadata` has them.
    """
    findings = []
    for name in PACKAGES:
        for other in sorted(set(owners.get(name, ())) - {_OWN}):
            what = f"the distribution {other} installs a package `{name}` as well: one may overwrite or hide the other"
            findings.append(warning(what, _APART))
        for place in (folder / name / "__init__.py", folder / f"{name}.py"):
            if place.is_file() and not folder.samefile(HOME):
                what = f"a worker that is started in this folder imports {place} as `{name}`, and not Settle's"
                findings.append(warning(what, "start workers in a folder without it"))
    return findings
