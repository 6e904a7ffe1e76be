"""The benchmarks say what was measured: spans, ratios, verdicts, and a page that names a miss."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import redis

from benchmarks import __main__ as program
from benchmarks import plot, report, seeding
from benchmarks.processes import ROOT
from benchmarks.results import AIOHTTP, CELERY, HTTPX, Comparison, Figure, at_least, at_most
from benchmarks.saturation import SETTLE, Saturation
from benchmarks.server_client import Report
from jobs.clock import ManualClock
from jobs.ledger import ClaimLimits, Ledger
from jobs.states import JobState


def _books(slots: list[tuple[int, int]]) -> Report:
    polls = sum(number for _, number in slots)
    return Report(polls, 0, 0, 0, 0.0, 0.0, 0.0, {}, 0.02, slots)


def test_a_span_leaves_out_the_first_and_the_last_tenth() -> None:
    """A hundred polls, ten a slot: eighty of them, in eight slots."""
    start, end, polls = _books([(slot, 10) for slot in range(100, 110)]).span()
    assert (round(end - start, 6), polls) == (0.16, 80)


def test_a_span_counts_what_it_measured_when_slots_are_uneven() -> None:
    """The polls of the slot in which the first tenth ends are outside."""
    start, end, polls = _books([(0, 50), (10, 25), (20, 15), (30, 10)]).span()
    assert (round(start, 6), round(end, 6), polls) == (0.02, 0.42, 40)


def test_polls_within_one_slot_are_no_measurement() -> None:
    """Better no figure than an invented one."""
    with pytest.raises(RuntimeError, match="nothing to measure"):
        _books([(7, 1000)]).span()


def test_ratios_are_made_within_a_round() -> None:
    """A round in which everything was half as fast changes no ratio."""
    ours, theirs = Figure((100.0, 50.0, 100.0)), Figure((10.0, 5.0, 10.0))
    assert ours.over(theirs).values == (10.0, 10.0, 10.0)
    assert ours.spread == 0.5


@pytest.mark.parametrize(
    ("target", "met"),
    [(at_least("x", 12.0, 12), True), (at_least("x", 11.9, 12), False), (at_most("x", 30.1, 30), False)],
    ids=["just met", "missed", "too much"],
)
def test_a_target_is_met_or_not(target: object, met: bool) -> None:
    """The limit itself counts as met."""
    assert target.met is met  # type: ignore[attr-defined]


def _comparison(ours: float) -> Comparison:
    def runs(rate: float, cpu: float) -> list[Saturation]:
        return [Saturation(rate * part, cpu, 0.1, 1000, complete=True) for part in (0.9, 1.0, 1.2)]

    return Comparison(
        {
            SETTLE: runs(ours, 0.4),
            CELERY[0]: runs(270, 5.6),
            CELERY[1]: runs(230, 4.5),
            "dramatiq, httpx": runs(540, 3.0),
            "arq, aiohttp": runs(790, 1.3),
            HTTPX: runs(580, 1.8),
            AIOHTTP: runs(7300, 0.14),
        }
    )


def test_the_targets_name_the_best_of_the_peers() -> None:
    """Not the one that makes us look well."""
    targets = {target.what: target for target in _comparison(4000).targets()}
    assert any(CELERY[0] in what for what in targets)
    assert any("dramatiq" in what for what in targets)
    assert all(target.met for target in targets.values())
    missed = [target.what for target in _comparison(2000).targets() if not target.met]
    assert len(missed) == 5
    assert not any("CPU" in what for what in missed)


def test_the_page_and_its_plot_are_written_whole(tmp_path: Path) -> None:
    """Each contender has a row and two bars; a target that was missed is seen at once."""
    comparison = _comparison(2000)
    (tmp_path / "benchmarks.md").write_text("what stood there before")
    sizes = {"polls": 50, "interval": 0.01, "jobs": 1000, "rounds": 3, "seconds": 12.0, "load": 3.2}
    page = report.write(tmp_path, comparison, comparison.targets(), ["A note."], quick=False, **sizes).read_text()  # type: ignore[arg-type]
    assert "before" not in page
    assert all(f"| {name} |" in page for name in comparison.runs)
    assert page.count("**no**") == 5
    assert "- A note." in page
    assert "others were using it" in page
    picture = ET.fromstring(plot.svg(comparison))  # noqa: S314
    bars = [each for each in picture.iter("{http://www.w3.org/2000/svg}rect") if each.get("fill") != "#ffffff"]
    assert len(bars) == 2 * len(comparison.runs)


@pytest.mark.parametrize(("options", "written", "kept"), [(["--quick"], ".bench", "docs"), ([], "docs", ".bench")])
def test_a_quick_run_leaves_the_published_page_alone(
    options: list[str],
    written: str,
    kept: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only a full run writes into docs/; a quick one writes where git does not look, and says so."""
    for name in ("PUBLISHED", "TRIAL"):
        place = tmp_path / getattr(program, name).relative_to(ROOT)
        monkeypatch.setattr(program, name, place)
        place.mkdir()
        for file in ("benchmarks.md", "benchmarks.svg"):
            (place / file).write_text("before")
    comparison = _comparison(4000)
    monkeypatch.setattr(program, "measure", lambda *_: (comparison, comparison.targets(), []))
    monkeypatch.setattr(sys, "argv", ["benchmarks", *options])
    program.main()
    for file in ("benchmarks.md", "benchmarks.svg"):
        assert (tmp_path / kept / file).read_text() == "before"
        assert (tmp_path / written / file).read_text() != "before"
    assert ("docs/benchmarks.md and its plot stay as they are" in capsys.readouterr().out) is bool(options)


def test_git_ignores_what_a_quick_run_writes() -> None:
    """So that it cannot be committed by mistake."""
    written = program.TRIAL.relative_to(ROOT) / "benchmarks.md"
    assert subprocess.run(["git", "check-ignore", "--quiet", str(written)], cwd=ROOT, check=False).returncode == 0


def test_a_copied_job_is_like_one_that_went_the_ordinary_way(redis_client: redis.Redis) -> None:
    """What the benchmarks put into the ledger is polled like any other."""
    clock = ManualClock()
    ledger = Ledger(redis_client, clock=clock)
    seeding.waiting(ledger, redis_client, 30, first=10.0, spread=20.0)
    first, last = ledger.get("seed-0"), ledger.get("seed-29")
    assert ledger.counts(seeding.PROVIDER) == {JobState.POLLING: 30}
    assert len(ledger.jobs(seeding.PROVIDER)) == 30
    assert {job.receipt["remote_id"] for job in ledger.jobs(seeding.PROVIDER) if job.receipt} == {
        str(10_000_000 + number) for number in range(30)
    }
    assert (last.state, last.seq, last.intent, last.digest) == (first.state, first.seq, first.intent, first.digest)
    clock.advance(20.0)
    limits = ClaimLimits(bundle_size=100, bundles=8, lease=30.0)
    assert len(ledger.claim(seeding.PROVIDER, limits).claims) == 16
