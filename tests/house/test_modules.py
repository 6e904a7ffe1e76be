"""Modules of tests stay short enough to be read."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]

#: Lines of one module.
MOST = 500


def test_no_module_of_tests_is_too_long() -> None:
    """A longer one has more than one subject: split it, and name each file after its own."""
    lengths = {path.relative_to(TESTS): len(path.read_text().splitlines()) for path in TESTS.rglob("*.py")}
    assert {str(path): lines for path, lines in lengths.items() if lines > MOST} == {}
    assert len(lengths) > 200
