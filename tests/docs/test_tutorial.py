"""The README and the tutorial, from a checkout: they start Settle by themselves, as a newcomer does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from config.embedded import running_url
from tests.docs.blocks import ROOT
from tests.docs.conftest import House, bare_environment
from tests.docs.running import run


@dataclass(frozen=True)
class Newcomer(House):
    """Nothing is set, and nothing runs.

    Args:
        folder: where `settle dev` will keep its files; the page's address of Redis is that of its Redis.
    """

    folder: Path = field(kw_only=True)

    def here(self, text: str) -> str:
        """A text with the address of what was started."""
        if "redis://" not in text:
            return text
        url = running_url(self.folder / ".settle")
        assert url is not None, "the page names Redis before it has started one"
        return text.replace("redis://:password@host:6379/0", url)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_a_newcomers_page_runs(page: str, tmp_path: Path) -> None:
    """With no variable set, and no house beside it."""
    run(ROOT / page, Newcomer(bare_environment(), {}, folder=tmp_path / "page"), tmp_path)
