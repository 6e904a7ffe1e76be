"""The one import name that only Settle has: the entry of the command, and what authors of providers import.

Settle is an application, so its packages have plain names (`config`, `jobs`, `tasks`). A module of the same name that
comes first on `sys.path` takes their place, and what follows is an ImportError that explains nothing. This module looks
for that first, so it must not import anything of Settle at its top.

Authors of providers import from `settle_jobs.provider` and `settle_jobs.workflow`; see docs/add-a-provider.md.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

#: The other packages of the wheel, by the names under which Python imports them.
PACKAGES = ("config", "jobs", "patches", "providers", "simulator", "tasks", "workflows")
#: The folder that holds all of them: site-packages, or a checkout.
HOME = Path(__file__).parents[1]
#: The exit code of the command for a broken set-up.
_SETUP = 5


class Shadowed(ImportError):
    """Another module is imported in place of one of Settle's packages."""


def shadowed() -> dict[str, str]:
    """The packages of Settle for which Python finds another module, each with where that one is."""
    found = {}
    for name in PACKAGES:
        spec = find_spec(name)
        place = (spec.origin or next(iter(spec.submodule_search_locations or ()), "")) if spec else ""
        own = HOME / name
        if not place or not own.is_dir() or not own.samefile(Path(place).parent):
            found[name] = place
    return found


def require_own_packages() -> None:
    """Make sure that Settle's packages are Settle's.

    Raises:
        Shadowed: some are not; the message names each, the file that is imported instead, and the remedy.
    """
    if found := shadowed():
        places = "; ".join(
            f"Python imports {place} as `{name}`, which hides the package of Settle"
            if place
            else f"`{name}` is missing"
            for name, place in found.items()
        )
        raise Shadowed(
            f"{places}. Settle needs an environment of its own: install it into a fresh one, start it in a folder "
            "without such names, and leave them out of PYTHONPATH"
        )


def main() -> NoReturn:
    """Run the `settle` command, unless another package has taken the place of one of Settle's."""
    try:
        require_own_packages()
    except Shadowed as error:
        sys.stderr.write(f"settle: {error}\n")
        sys.exit(_SETUP)
    from workflows.command import main as command

    command()
