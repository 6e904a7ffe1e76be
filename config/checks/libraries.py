"""The libraries that Settle patches: whether the patches were written for the installed versions."""

from __future__ import annotations

from collections.abc import Iterable

from config.checks.finding import Finding, warning
from patches import Outcome, State

_SAID = {
    State.UNVERIFIED: "is applied, but was never tried with this version",
    State.SKIPPED: "cannot be applied to this version, so its defect is back",
}


def libraries(outcomes: Iterable[Outcome]) -> list[Finding]:
    """What is wrong with the installed versions.

    Args:
        outcomes: of all patches.
    """
    return [
        warning(
            f"{found.patch.library} {found.version}: the patch {found.patch.name} {_SAID[found.state]}",
            f"install {found.patch.library}=={found.patch.versions[-1]}, as requirements.lock pins it",
        )
        for found in outcomes
        if found.state is not State.VERIFIED
    ]
