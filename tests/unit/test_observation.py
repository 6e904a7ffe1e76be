"""What a provider's module hands on is stored, shown and reckoned with, whoever wrote that module."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Observation, Verdict


@pytest.mark.parametrize(
    ("given", "kept"), [(40, 40), (0, 0), ("40", None), (40.5, None), (True, None), ({}, None), (None, None)]
)
def test_a_progress_that_is_no_whole_number_is_none(given: Any, kept: int | None) -> None:
    """Countdowns are reckoned with it, for a whole bundle at a time."""
    assert Observation(Verdict.RUNNING, progress=given).progress == kept


def test_a_word_is_scrubbed() -> None:
    """Whatever stands where the status word should be is shown."""
    word = Observation(Verdict.RUNNING, word="ada@example.test " * 20).word
    assert word is not None
    assert "ada" not in word
    assert len(word) <= 60
