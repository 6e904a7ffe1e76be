"""`python -m benchmarks`: everything, in one call, on loopback only; writes `benchmarks.md` and its plot.

A full run writes them into `docs/`. A quick one (`--quick`) writes them into `.bench/`, which git ignores: its figures
say that the harness works, and must not replace those of the page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import latency, plot, report, saturation, throughput, waiting
from benchmarks.contenders import Pythons, peers
from benchmarks.processes import ROOT
from benchmarks.results import AIOHTTP, Comparison, Target, at_least, at_most
from benchmarks.server_client import StatusServer

#: The folder of the published page, and that of a quick run.
PUBLISHED, TRIAL = ROOT / "docs", ROOT / ".bench"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done. Seconds bound a span, the others are numbers of jobs unless they say otherwise."""

    rounds: int
    jobs: int
    seconds: float
    span: float
    waiting: int
    short: int
    files: int
    large: int  #: bytes
    singles: int


FULL = Sizes(
    rounds=3, jobs=1000, seconds=12, span=8, waiting=100_000, short=10_000, files=4000, large=1 << 30, singles=20
)
QUICK = Sizes(rounds=1, jobs=200, seconds=3, span=2, waiting=10_000, short=500, files=60, large=1 << 27, singles=5)


class Bench:
    """One call.

    Args:
        sizes: how much.
        server: whom everybody polls.
        folder: for state and logs.
        pythons: the environments of the contenders.
    """

    def __init__(self, sizes: Sizes, server: StatusServer, folder: Path, pythons: Pythons) -> None:
        self._sizes, self._server, self._folder = sizes, server, folder
        self._peers = peers(pythons)
        self._begun = time.monotonic()
        self.notes: list[str] = []

    def _tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:6.0f} s  {text}", flush=True)

    def comparison(self) -> Comparison:
        """Everybody in turn."""
        sizes = self._sizes
        return Comparison(
            saturation.rounds(
                self._peers,
                self._server,
                self._folder,
                times=sizes.rounds,
                jobs=sizes.jobs,
                seconds=sizes.seconds,
                tell=self._tell,
            )
        )

    def own(self, rate: float) -> list[Target]:
        """What is asked of Settle alone; `rate` is its saturation in polls per second."""
        return [*self._lateness(rate / 2), *self._jobs(), *self._waiting(rate / 4), *self._files(), *self._linear()]

    def _lateness(self, rate: float) -> list[Target]:
        span = self._sizes.span
        late = latency.of_settle(self._server, self._folder, rate=rate, seconds=span)
        loop = next(peer for peer in self._peers if peer.name == AIOHTTP)
        other = latency.of_loop(loop, self._server, self._folder, rate=rate, seconds=span)
        self._tell(f"lateness at {rate:,.0f} polls/s: {late.p50:.1f} / {late.p99:.1f} ms")
        self.notes.append(
            f"Lateness at half of saturation: {late.offered:,.0f} polls/s offered, {late.made:,.0f} made. The asyncio "
            f"+ aiohttp loop with the same load: p50 {other.p50:.1f} ms, p99 {other.p99:.1f} ms."
        )
        return [
            at_most("lateness at half of saturation, p50", late.p50, 30, " ms", digits=1),
            at_most("lateness at half of saturation, p99", late.p99, 100, " ms", digits=1),
        ]

    def _jobs(self) -> list[Target]:
        sizes = self._sizes
        self._server.reset(polls=1, interval=0.0)
        short = throughput.jobs_per_second(self._server, self._folder, jobs=sizes.short)
        self._tell(f"short jobs: {short}")
        files = throughput.with_file(self._server, self._folder, jobs=sizes.files)
        self._tell(f"jobs with a file: {files}")
        self._server.reset(polls=1, interval=0.0)
        one = throughput.one_job(self._server, self._folder, times=sizes.singles)
        self._tell(f"one job: {statistics.median(one):.0f} ms")
        self.notes.append(
            f"Short jobs: {sizes.short:,} triggers by `send_task` waited in the queue; intake, submission, poll and "
            f"end ran at once. One job alone: from {min(one):.0f} to {max(one):.0f} ms."
        )
        return [
            at_least("triggers taken into the ledger per second", short.accepted, 1000, digits=0),
            at_least("short jobs finished per second", short.finished, 1000, digits=0),
            at_least("jobs with a 64 KiB file finished per second", files.finished, 150, digits=0),
            at_most("one job on an idle system, trigger to result", statistics.median(one), 100, " ms", digits=0),
        ]

    def _waiting(self, load: float) -> list[Target]:
        found = waiting.measure(
            self._server, self._folder, jobs=self._sizes.waiting, load=int(load), seconds=self._sizes.span
        )
        self._tell(f"waiting: {found}")
        jobs = f"{found.jobs:,} waiting"
        self.notes.append(
            f"With {jobs} Redis itself used {found.idle_redis:.2%} of a core. Beside them, at {load:,.0f} polls/s of "
            f"other jobs: p50 {found.lateness[0]:.1f} ms, p99 {found.lateness[1]:.1f} ms; with a hundredth of them "
            f"waiting: {found.lateness_before[0]:.1f} and {found.lateness_before[1]:.1f} ms."
        )
        # A difference below the clock's own grain is none.
        allowed = max(found.lateness_before[0] * 1.25, found.lateness_before[0] + 2)
        return [
            at_most(f"CPU of an idle worker with {jobs}", found.idle_cpu * 100, 1, " %"),
            at_most(f"growth of a worker's memory with {jobs}", found.growth * 100, 5, " %"),
            at_most(f"Redis memory per job with {jobs}", found.bytes_per_job / 1000, 1.5, " KB"),
            at_most("a worker started later has done its first bundle after", found.joined, 2, " s"),
            at_most(
                f"lateness p50 with {jobs}, against a hundredth of them", found.lateness[0], round(allowed, 1), " ms"
            ),
        ]

    def _files(self) -> list[Target]:
        found = throughput.large_file(
            self._server, self._folder, size=self._sizes.large, times=1 if self._sizes.rounds == 1 else 2
        )
        self._tell(f"large file: {found}")
        self.notes.append(
            f"A file of {found.size / 2**20:,.0f} MiB: Settle {found.settle / 1e6:,.0f} MB/s fetched and verified, "
            f"curl and sha256sum {found.curl / 1e6:,.0f} MB/s."
        )
        return [
            at_least("fetch and verify ÷ curl and sha256sum", found.settle / found.curl, 0.6),
            at_most("growth of the file worker meanwhile", found.growth / 2**20, 32, " MiB", digits=1),
        ]

    def _linear(self) -> list[Target]:
        few, many = max(self._sizes.waiting // 100, 1), self._sizes.waiting
        pairs = [
            [
                latency.cost_per_poll(self._server, self._folder, jobs=jobs, seconds=self._sizes.span)
                for jobs in (few, many)
            ]
            for _ in range(self._sizes.rounds)
        ]
        for small, large in pairs:
            self._tell(f"cost per poll: {few:,} jobs {small}, {many:,} jobs {large}")
        # By the ratio within a pair, as everywhere: one pair alone differs from the next by a tenth.
        small, large = sorted(pairs, key=lambda pair: pair[1][0] / pair[0][0])[len(pairs) // 2]
        self.notes.append(
            f"CPU per poll with everything due: {small[0]:.3f} ms with {few:,} jobs, {large[0]:.3f} ms with {many:,} "
            f"({small[1]:,.0f} and {large[1]:,.0f} polls/s), the middle one of {len(pairs)} pair(s)."
        )
        more = (large[0] / small[0] - 1) * 100
        return [at_most(f"CPU per poll, {few:,} → {many:,} jobs", more, 15, " % more", digits=1)]


def measure(sizes: Sizes, pythons: Pythons) -> tuple[Comparison, list[Target], list[str]]:
    """Run every benchmark; returns the comparison, the targets and the notes."""
    # The application's module reads its settings when it is imported; none of this machine's may count.
    for name in [name for name in os.environ if name.startswith("SETTLE_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="settle-bench-") as name, StatusServer(pythons.peers, Path(name)) as server:
        bench = Bench(sizes, server, Path(name), pythons)
        comparison = bench.comparison()
        targets = [*comparison.targets(), *bench.own(comparison.rate(saturation.SETTLE).median)]
    return comparison, targets, bench.notes


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: two minutes instead of fifteen")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="environment of requirements.lock")
    parser.add_argument("--arq", type=Path, default=ROOT / ".venv-arq", help="environment of requirements-arq.lock")
    parser.add_argument("--out", type=Path, help="folder of the page and its plot (docs; with --quick .bench)")
    asked = parser.parse_args()
    out: Path = asked.out or (TRIAL if asked.quick else PUBLISHED)
    out.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    sizes = QUICK if asked.quick else FULL
    pythons = Pythons(asked.peers.absolute() / "bin" / "python", asked.arq.absolute() / "bin" / "python")
    comparison, targets, notes = measure(sizes, pythons)
    page = report.write(
        out,
        comparison,
        targets,
        notes,
        polls=saturation.POLLS,
        interval=saturation.INTERVAL,
        jobs=sizes.jobs,
        rounds=sizes.rounds,
        seconds=sizes.seconds,
        load=load,
        quick=asked.quick,
    )
    (out / "benchmarks.svg").write_text(plot.svg(comparison))
    for target in targets:
        print(f"{'met ' if target.met else 'MISS'}  {target.what}: {target.found} (wanted {target.wanted})")
    print(f"written: {page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page.name}")
    if out == TRIAL:
        print("a quick run: docs/benchmarks.md and its plot stay as they are")


if __name__ == "__main__":
    main()
