"""Polls per second at saturation, and what a poll costs: Settle and its peers in turn, several rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import product
from benchmarks.contenders import Contender, Run
from benchmarks.processes import Sampler
from benchmarks.server_client import StatusServer

#: Between the polls of a job, seconds: short, so that every wait goes through the contender's own way of waiting.
INTERVAL = 0.01
POLLS = 50
SETTLE = "Settle"


@dataclass(frozen=True, slots=True)
class Saturation:
    """One run.

    Args:
        rate: polls per second between the 10th and the 90th percentile of the polls.
        cpu: of all its processes and its Redis over that time, milliseconds per poll.
        server: share of one core that the status server used meanwhile.
        polls: how many were made.
        complete: whether all jobs were finished before the time was up.
    """

    rate: float
    cpu: float
    server: float
    polls: int
    complete: bool


@contextmanager
def settle(url: str, folder: Path) -> Iterator[Run]:
    """Settle, with the interval of all others as its poll window."""
    window: dict[str, Any] = {"poll_first": INTERVAL, "poll_minimum": INTERVAL, "poll_maximum": INTERVAL}
    with product.running(url, folder, **window) as running:
        yield Run(running.pids, running.send)


def measure(
    contender: Contender | None, server: StatusServer, folder: Path, *, jobs: int, seconds: float
) -> Saturation:
    """One run of one contender; none means Settle.

    Args:
        contender: who polls.
        server: whom.
        folder: for logs and state.
        jobs: how many, all at once.
        seconds: whoever needs longer for all polls is judged by those it made in this time.
    """
    server.reset(polls=POLLS, interval=INTERVAL)
    at_work = settle(server.url, folder) if contender is None else contender.running(server.url, INTERVAL, folder)
    with at_work as run:
        run.trigger(jobs)
        with Sampler(run.pids) as sampler, Sampler([server.pid]) as of_server:
            # The time runs from the first poll on: triggering is not what is compared.
            if server.wait(polls=1, deadline=60).polls == 0:
                raise RuntimeError(f"no poll within a minute: see the logs in {folder}")
            report = server.wait(finished=jobs, deadline=seconds)
        start, end, polls = report.span()
        return Saturation(
            rate=polls / (end - start),
            cpu=1000 * sampler.used(start, end) / polls,
            server=of_server.used(start, end) / (end - start),
            polls=report.polls,
            complete=report.finished >= jobs,
        )


def rounds(
    contenders: list[Contender],
    server: StatusServer,
    folder: Path,
    *,
    times: int,
    jobs: int,
    seconds: float,
    tell: Callable[[str], None],
) -> dict[str, list[Saturation]]:
    """Every contender in turn, several times."""
    found: dict[str, list[Saturation]] = {SETTLE: [], **{each.name: [] for each in contenders}}
    for number in range(times):
        for contender in [None, *contenders]:
            name = contender.name if contender else SETTLE
            run = measure(contender, server, folder, jobs=jobs, seconds=seconds)
            if run.server > 0.9:
                raise RuntimeError(f"the status server was the bottleneck ({run.server:.0%} of a core) for {name}")
            tell(
                f"round {number + 1}: {name}: {run.rate:,.0f} polls/s, {run.cpu:.3f} ms a poll, server {run.server:.0%}"
            )
            found[name].append(run)
    return found
