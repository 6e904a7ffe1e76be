"""The tutorial, from nothing: it starts Settle by itself, as a newcomer does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.conftest import House, bare_environment
from tests.docs.running import run


@pytest.mark.timeout(180)
def test_the_tutorial_runs(tmp_path: Path) -> None:
    """With no variable set, and no house beside it."""
    run(ROOT / "docs" / "tutorial.md", House(bare_environment(), {}), tmp_path)
