"""Metrics in Prometheus form. The stages tell what they did; without `SETTLE_METRICS__PORT` nobody listens.

`declared` names every metric, `counts` holds what a worker and its children did, `ledger` reads what all workers share,
`serving` gives both out. Functions here take a whole bundle: a count costs as much as a hundredth of a poll.
"""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from jobs.ledger import Acceptance, Claim
from jobs.record import Job, Move
from jobs.states import TERMINAL, JobState
from providers import discover
from providers.base import Located, Observation
from providers.errors import ProviderError

if TYPE_CHECKING:
    from config.metrics.counts import Counts

logger = logging.getLogger(__name__)

P = ParamSpec("P")

#: The header of a poll message that says when its jobs were due; whoever does not know it reads the ids alone.
DUES = "settle_dues"

#: Failures of a job that mean: the file is not what was promised.
MISMATCHES = (
    "digest_mismatch",
    "size_mismatch",
    "line_count_mismatch",
    "line_length_mismatch",
    "duplicate_line",
    "spoilt_at_rest",
)
_PAUSES = ("busy", "unreachable", "unauthorized", "submissions")

_counts: Counts | None = None
_told = False  #: whether the log knows that something could not be counted
#: Requests that are over, until they are written down: labels and seconds.
_requests: deque[tuple[tuple[str, str, str, str], float]] = deque()


def enable(folder: Path) -> Counts:
    """Begin to count, in this process and the children it will have.

    Args:
        folder: an empty one of its own.
    """
    global _counts
    from config.metrics.counts import Counts  # late: whoever counts nothing needs no library for it

    counts = Counts(folder)
    for provider in discover():
        counts.add_all("settle_pauses_total", {(provider, kind): 0 for kind in _PAUSES})
        counts.add_all("settle_files_mismatched_total", {(provider, kind): 0 for kind in MISMATCHES})
    counts.add_all("settle_looks_failed_total", {("clock",): 0, ("intake",): 0})
    _counts = counts
    return counts


def disable() -> None:
    """Count no more."""
    global _counts
    if _counts is not None:
        _counts.close()
    _counts = None
    _requests.clear()


def enabled() -> bool:
    """Whether this process counts."""
    return _counts is not None


def dues(claims: Sequence[Claim]) -> Any:
    """The headers that tell a bundle's worker when each job was due; none if nobody counts."""
    return {DUES: [round(claim.due_at * 1000) for claim in claims]} if _counts is not None else None


def _counting(function: Callable[Concatenate[Counts, P], None]) -> Callable[P, None]:
    """Call it with the counts if there are any. No job stops because something could not be counted."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        global _told
        if _counts is None:
            return
        try:
            function(_counts, *args, **kwargs)
        except Exception:  # its folder is gone, say
            if not _told:
                logger.exception("not_counted")
            _told = True

    return call


@_counting
def triggered(counts: Counts, jobs: Iterable[Job], answers: Iterable[Acceptance]) -> None:
    """Triggers were recorded; those that can never work have ended at once."""
    both = list(zip(jobs, answers, strict=True))
    counts.add_all("settle_triggers_total", Tally((job.provider, answer.value) for job, answer in both))
    new = [job for job, answer in both if answer is Acceptance.CREATED]
    counts.add_all("settle_jobs_finished_total", Tally(_end(job) for job in new if job.finished))


@_counting
def refused(counts: Counts) -> None:
    """A message was no trigger that anybody here could do something with."""
    counts.add("settle_triggers_total", "", "refused")


@_counting
def submitted(counts: Counts, provider: str, asked: Sequence[object], sent: Sequence[object]) -> None:
    """A bundle was submitted.

    Args:
        provider: to whom.
        asked: what came of the questions for lost submissions.
        sent: receipts, and the errors instead.
    """
    counts.add_all("settle_doubts_total", Tally((provider, _found(answer)) for answer in asked))
    results = Tally((provider, kind_of(answer) or "accepted") for answer in sent)
    counts.add_all("settle_submissions_total", results)


@_counting
def polled(
    counts: Counts,
    request: Any,
    job_ids: Sequence[str],
    jobs: Sequence[Job],
    answers: Sequence[Observation | Exception],
    lease: float,
) -> None:
    """A bundle was polled.

    Args:
        request: of the Celery task; its headers say when the jobs were due.
        job_ids: the jobs of the message.
        jobs: those that were begun.
        answers: what came of each of these.
        lease: seconds for which they are held since they were begun.
    """
    if not jobs:
        return
    provider = jobs[0].provider
    counts.add_all("settle_polls_total", Tally((provider, _observed(answer)) for answer in answers))
    due = dict(zip(job_ids, (request.headers or {}).get(DUES) or (), strict=False))
    late = [max((job.due_at or 0.0) - lease - due[job.id] / 1000, 0.0) for job in jobs if job.id in due]
    counts.observe("settle_poll_lateness_seconds", provider, seen=late)


@_counting
def moved(counts: Counts, moves: Sequence[Move], written: Sequence[Job | None]) -> None:
    """Moves were written, or refused where the answer is none."""
    changes: Tally[tuple[str, ...]] = Tally()
    ended: Tally[tuple[str, ...]] = Tally()
    for move, job in zip(moves, written, strict=True):
        before, after = move.before, move.after
        if job is None:
            counts.add("settle_claims_lost_total", before.provider, before.state.value)
            continue
        if after.failure is not None and after.failure is not before.failure and after.failure.kind in MISMATCHES:
            counts.add("settle_files_mismatched_total", before.provider, after.failure.kind)
        if after.state is before.state:
            continue
        changes[before.provider, before.state.value, after.state.value] += 1
        if after.state in TERMINAL:
            ended[_end(after)] += 1
        if before.state is JobState.FETCHING and any(artifact.uri for artifact in after.artifacts):
            counts.add("settle_files_fetched_total", before.provider, by=len(after.artifacts))
            stored = sum(artifact.stored_size or 0 for artifact in after.artifacts)
            counts.add("settle_fetched_bytes_total", before.provider, by=stored)
    counts.add_all("settle_moves_total", changes)
    counts.add_all("settle_jobs_finished_total", ended)
    _flush(counts)


@_counting
def paused(counts: Counts, provider: str, kind: str) -> None:
    """A provider's gate was closed."""
    counts.add("settle_pauses_total", provider, kind)


@_counting
def looked(counts: Counts, what: str, *, failed: bool = False) -> None:
    """The clock has ticked, or the intake has looked."""
    counts.add("settle_looks_total", what)
    if failed:
        counts.add("settle_looks_failed_total", what)


def requested(provider: str, method: str, what: str, result: str, seconds: float) -> None:
    """A request is over. Kept in this process until its bundle is done: one write for many."""
    if _counts is not None:
        _requests.append(((provider, method, what, result), seconds))


def kind_of(answer: object) -> str | None:
    """The kind of an error; none for anything else."""
    if isinstance(answer, ProviderError):
        return answer.kind
    return type(answer).__name__ if isinstance(answer, Exception) else None


def _end(job: Job) -> tuple[str, ...]:
    return job.provider, job.workflow, job.state.value, job.failure.kind if job.failure else ""


def _observed(answer: Observation | Exception) -> str:
    if isinstance(answer, Observation):
        return "unknown_word" if not answer.known and answer.word is not None else answer.verdict.value
    return kind_of(answer) or ""


def _found(answer: object) -> str:
    if isinstance(answer, Located):
        if answer.receipt is not None:
            return "found"
        return "gone" if answer.gone else "absent" if answer.absent else "unknown"
    return kind_of(answer) or ""


def _flush(counts: Counts) -> None:
    """Write down the requests that are over. Other threads may go on adding."""
    over: defaultdict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for _ in range(len(_requests)):
        with suppress(IndexError):  # another thread writes them down, too
            labels, seconds = _requests.popleft()
            over[labels].append(seconds)
    for labels, seen in over.items():
        counts.observe("settle_request_seconds", *labels, seen=seen)
