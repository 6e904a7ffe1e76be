"""The replay of poll policies: what it prints of each case is what the pages say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "poll_policy.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The script, with fewer jobs."""
    spec = importlib.util.spec_from_file_location("poll_policy_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.TAUGHT, module.MEASURED, module.TRUTH = 500, 500, 5000  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("case", "most"),
    [(0, 1.1), (1, 0.95), (2, 0.75), (3, 0.88), (4, 0.5)],
    ids=["lognormal", "pareto", "mostly quick", "batches", "progress"],
)
def test_polls_at_the_delay_of_a_fixed_interval(bench: ModuleType, case: int, most: float) -> None:
    """Beside a fixed interval of three seconds; and no rule by age needs fewer than the optimum."""
    chosen = bench.CASES[case]
    fixed = bench.replay(chosen, lambda *_: bench.FIXED)
    polls, delay = bench.at_delay(chosen, fixed[1])
    assert delay <= fixed[1] * 1.05
    assert polls <= most * fixed[0]
    if case < 4:
        best, late = bench.optimum(chosen, chosen.window, fixed[1])
        assert late <= fixed[1] * 1.01
        assert 0.95 * best <= polls


def test_the_replay_is_the_same_each_time(bench: ModuleType) -> None:
    """Every draw has its seed."""
    chosen = bench.CASES[3]
    assert bench.learnt(chosen, 1.5) == bench.learnt(chosen, 1.5)
