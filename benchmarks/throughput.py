"""How many jobs Settle takes in and finishes, how soon a single one, and what files cost."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks import product
from benchmarks.processes import largest_rss
from benchmarks.server_client import StatusServer
from jobs.states import JobState

#: A poll window for jobs that are ready at once.
AT_ONCE: dict[str, Any] = {"poll_first": 0.0, "poll_minimum": 0.01, "poll_maximum": 0.01}
TOKENS: dict[str, Any] = {
    "alphabet": "UPPER_HEX",
    "digits": 63,
    "size": 1024,
    "payment": {"id": "transaction-1", "ident": "pi_1"},
}
#: Odd, and without order in its bits: its multiples differ and look like tokens.
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95


@dataclass(frozen=True, slots=True)
class Finished:
    """Jobs per second, between the 10th and the 90th percentile of them."""

    accepted: float  #: recorded in the ledger, of triggers that waited in the queue
    finished: float


def _rate(moments: list[float]) -> float:
    """Per second between the 10th and the 90th percentile; moments in milliseconds."""
    moments = sorted(moments)
    low, high = int(len(moments) * 0.1), int(len(moments) * 0.9)
    return (high - low) * 1000 / max(moments[high] - moments[low], 1.0)


def jobs_per_second(
    server: StatusServer, folder: Path, *, jobs: int, workflow: str = "lettrlabs.convert", **kwargs: Any
) -> Finished:
    """Jobs of one poll each. Their triggers, made by `send_task`, wait in the queue when the workers start.

    Args:
        server: the remote API, already told about the file if there is one.
        folder: for state and logs.
        jobs: how many.
        workflow: what is triggered.
        kwargs: with what.
    """
    provider = workflow.partition(".")[0]
    with product.running(server.url, folder, workers=(), **AT_ONCE) as settle:
        settle.send(jobs, workflow=workflow, **kwargs)
        for name in product.WORKERS:
            settle.start(name, wait=False)
        done = f"settle:{{{provider}}}:done"
        end = time.monotonic() + 60 + jobs / 20
        while settle.client.zcard(done) < jobs:
            if time.monotonic() > end:
                raise RuntimeError(f"{settle.client.zcard(done)} of {jobs} jobs finished: see the logs in {folder}")
            time.sleep(0.2)
        states = settle.runtime.ledger.counts(provider)
        if states.get(JobState.SUCCEEDED) != jobs:
            raise RuntimeError(f"not all jobs succeeded: {states}")
        finished = [score for _, score in settle.client.zrange(done, 0, -1, withscores=True)]
        index = settle.client.zrange(f"settle:{{{provider}}}:index", 0, -1, withscores=True)
        return Finished(_rate([score for _, score in index]), _rate(finished))


def with_file(server: StatusServer, folder: Path, *, jobs: int, size: int = 64 * 1024) -> Finished:
    """Jobs with a small file each, fetched and verified."""
    path, digest = file_of(folder, size)
    server.reset(polls=1, interval=0.0, size=size, digest=digest, path=path)
    return jobs_per_second(server, folder, jobs=jobs, workflow="unique_tokens.produce", **TOKENS)


def one_job(server: StatusServer, folder: Path, *, times: int) -> list[float]:
    """Milliseconds from `send_task` to the result of a job on an idle system; the remote API answers at once."""
    found = []
    with (
        product.running(server.url, folder, **AT_ONCE) as settle,
        Celery(broker=settle.redis.url, backend=settle.redis.url) as app,
    ):
        for number in range(times + 3):
            time.sleep(0.31)  # out of step with every clock
            start = time.monotonic()
            kwargs = {"conversions": [product.RECORD]}
            result = app.send_task("settle.lettrlabs.convert", kwargs=kwargs, task_id=f"one-{number}")
            result.get(timeout=30)
            if number >= 3:  # the first ones open connections
                found.append((time.monotonic() - start) * 1000)
    return found


@dataclass(frozen=True, slots=True)
class Files:
    """One large file, bytes per second, and the growth of the worker meanwhile in bytes."""

    size: int
    settle: float
    curl: float
    growth: int


def large_file(server: StatusServer, folder: Path, *, size: int, times: int) -> Files:
    """Fetch and verify one large file, against `curl` and `sha256sum` with the same one; medians, in turn."""
    path, digest = file_of(folder, size)
    server.reset(polls=1, interval=0.0, size=size, digest=digest, path=path)
    ours, theirs, growth = [], [], 0
    with product.running(server.url, folder, **AT_ONCE) as settle:
        worker = [settle.workers["file-worker"].pid]
        settle.send(1, prefix="warm", workflow="unique_tokens.produce", **TOKENS)
        _stages(settle, "warm-0")
        before = largest_rss(worker)
        for number in range(times):
            theirs.append(size / _curl(server.url, folder, digest))
            settle.send(1, prefix=f"large-{number}", workflow="unique_tokens.produce", **TOKENS)
            seconds, peak = _stages(settle, f"large-{number}-0", worker)
            ours.append(size / seconds)
            growth = max(growth, peak - before)
    path.unlink()
    return Files(size, statistics.median(ours), statistics.median(theirs), growth)


def _stages(settle: product.Product, job_id: str, worker: list[int] | None = None) -> tuple[float, int]:
    """Seconds from the begin of the fetch to the end of the verification, by the job's events; and the peak memory."""
    peak = 0
    end = time.monotonic() + 300
    while time.monotonic() < end:
        at = {event.target.value: event.at for event in settle.runtime.ledger.events("unique_tokens", job_id)}
        if worker:
            peak = max(peak, largest_rss(worker))
        if "failed" in at or "emitting" in at:
            if "failed" in at:
                raise RuntimeError(f"{job_id} failed: {settle.runtime.ledger.get(job_id).failure}")
            return at["emitting"] - at["fetching"], peak
        time.sleep(0.05)
    raise RuntimeError(f"{job_id} was not verified in time")


def _curl(url: str, folder: Path, digest: str) -> float:
    """Seconds for `curl -o file` and then `sha256sum file`."""
    target = folder / "curl.out"
    start = time.monotonic()
    subprocess.run(["curl", "-sSf", "-o", str(target), f"{url}/files/line-1"], check=True)  # noqa: S607
    found = subprocess.run(["sha256sum", str(target)], check=True, capture_output=True, text=True)  # noqa: S607
    seconds = time.monotonic() - start
    target.unlink()
    if not found.stdout.startswith(digest):
        raise RuntimeError("curl got another file")
    return seconds


def file_of(folder: Path, size: int) -> tuple[Path, str]:
    """A file of tokens that all differ, 63 characters and a newline each, none after the last; and its SHA-256."""
    path = folder / f"tokens-{size}.txt"
    digest = hashlib.sha256()
    lines = size // 64
    with path.open("wb") as out:
        for start in range(0, lines, 16384):
            numbers = range(start, min(start + 16384, lines))
            part = b"".join(b"%063X\n" % (number * _SPREAD % 16**63) for number in numbers)
            part = part[:-1] + b"0" if numbers.stop == lines else part  # no newline after the last
            out.write(part)
            digest.update(part)
    return path, digest.hexdigest()
