"""The report: `benchmarks.md` is written anew, whole, by each call."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.results import AIOHTTP, HTTPX, Comparison, Target
from benchmarks.saturation import SETTLE

_METHOD = """\
## Method

- Every contender does the same work: one POST, then GETs until the job is complete at its {polls}th poll, {jobs:,} jobs
  at once, and {interval:g} s between the polls of a job, so that each wait goes through the contender's own way of
  waiting. All poll one server, a process of its own that was never busier than {server:.0%} of a core.
- They take turns, {rounds} round(s). Figures are medians; the spread is from the lowest to the highest round, as a
  share of the median. Ratios are made within a round, so that what disturbs a round disturbs both sides.
- Polls per second count between the 10th and the 90th percentile of the polls. Who needs longer than {seconds:g} s
  for all of them is judged by those it made. CPU is that of the whole process tree with its Redis over the same
  time; the status server and whoever triggers are left out.
- Settle is the product as it is run: the two workers of the Procfile, the ledger with its append-only file (synced
  every second), events on the stream, events for Flower. It also submits through its ledger, with intent and receipt.
  The peers' Redis has the same settings; their events are off, as is their default. Async peers use aiohttp, the others
  httpx with one connection per thread. The two loops keep nothing: a crash loses every job.
- Lateness: arrival of a poll − (answer to the job's previous request + interval), by the server's one clock.
- Many jobs are put into the ledger as copies of one that went the ordinary way (`benchmarks/seeding.py`).
"""


def write(
    folder: Path,
    comparison: Comparison,
    targets: Sequence[Target],
    notes: Sequence[str],
    *,
    polls: int,
    interval: float,
    jobs: int,
    rounds: int,
    seconds: float,
    load: float,
    quick: bool,
) -> Path:
    """Write the page; returns where it is."""
    server = max(run.server for runs in comparison.runs.values() for run in runs)
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench{' QUICK=1' if quick else ''}`. {_machine(load)}",
        "",
    ]
    if quick:
        lines += [
            "**A quick try with small sizes: these figures say that the harness works, not how fast Settle is.**",
            "",
        ]
    lines += [
        "## Settle beside its peers",
        "",
        "![polls per second and CPU per poll](benchmarks.svg)",
        "",
        *_table(comparison),
        "",
        "## Targets",
        "",
        "| what | wanted | found | met |",
        "| --- | --- | --- | --- |",
        *(f"| {each.what} | {each.wanted} | {each.found} | {'yes' if each.met else '**no**'} |" for each in targets),
        "",
        *(f"- {note}" for note in notes),
        "",
        _METHOD.format(polls=polls, interval=interval, jobs=jobs, server=server, rounds=rounds, seconds=seconds),
    ]
    target = folder / "benchmarks.md"
    target.write_text("\n".join(lines).rstrip() + "\n")
    return target


def _machine(load: float) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "aiohttp", "httpx"))
    cores = len(os.sched_getaffinity(0))
    busy = "; **others were using it**, so only ratios count" if load > 0.5 else ""
    begun = f"Load average when it began: {load:.1f}{busy}."
    return f"{begun} {cores} core(s), {platform.system()}, Python {platform.python_version()}, {packages}, Valkey 9."


def _table(comparison: Comparison) -> list[str]:
    ours_rate, ours_cpu = comparison.rate(SETTLE), comparison.cpu(SETTLE)
    lines = [
        "| who | keeps its jobs | polls/s | spread | Settle ÷ this | CPU ms a poll | spread | Settle ÷ this |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in sorted(comparison.runs, key=lambda name: -comparison.rate(name).median):
        rate, cpu = comparison.rate(name), comparison.cpu(name)
        keeps = "no" if name in (HTTPX, AIOHTTP) else "yes"
        lines.append(
            f"| {name} | {keeps} | {rate.median:,.0f} | {rate.spread:.0%} | {ours_rate.over(rate).median:.2f} "
            f"| {cpu.median:.3f} | {cpu.spread:.0%} | {ours_cpu.over(cpu).median:.2f} |"
        )
    return lines
