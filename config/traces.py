"""Traces: the stages of a job as spans below the caller's, wherever they run.

A message between stages is about many jobs, so no message carries a context: a job has its `traceparent` in its record.
Without `SETTLE_TRACES__ON`, or for a caller whose trace nobody records, nothing is imported and nothing is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from config.settings import CoreSettings
from jobs.ledger import Acceptance
from jobs.record import Job
from jobs.trace import sampled

if TYPE_CHECKING:
    from config.otel import Spans

F = TypeVar("F", bound=Callable[..., Any])
Recorded = Callable[[Sequence[Acceptance | None]], None]

_spans: Spans | None = None


def spans() -> Spans:
    """Makes the spans of this process, and sends them."""
    global _spans
    if _spans is None:
        from config.otel import Spans  # late: it is an extra

        _spans = Spans()
    return _spans


def use(replacement: Spans | None) -> None:
    """Put others in their place; for tests, and after a fork."""
    global _spans
    _spans = replacement


def close() -> None:
    """Send what is left, if anything was made."""
    if _spans is not None:
        _spans.close()


def traced(stage: str) -> Callable[[F], F]:
    """Make a span of each call of a stage whose job is traced.

    Args:
        stage: its name; the function takes the runtime, and the job anywhere behind it.
    """

    def decorate(function: F) -> F:
        async def later(job: Job, *args: Any) -> Any:
            with spans().stage(stage, job) as tell:
                return tell(await function(*args))

        def now(job: Job, *args: Any) -> Any:
            with spans().stage(stage, job) as tell:
                return tell(function(*args))

        watching = later if iscoroutinefunction(function) else now

        @wraps(function)
        def either(run: Any, *args: Any) -> Any:
            if run.settings.traces.on:
                job = next(each for each in args if isinstance(each, Job))
                if sampled(job.trace):
                    return watching(job, run, *args)
            return function(run, *args)

        return cast("F", either)

    return decorate


def accepting(settings: CoreSettings, jobs: Sequence[tuple[Job, Any]]) -> tuple[list[tuple[Job, Any]], Recorded]:
    """Begin the spans of jobs that are about to be recorded.

    Returns:
        The jobs, each with the context that its stages belong under; and what is to be told the ledger's answers.
    """
    if not settings.traces.on:
        return list(jobs), lambda answers: None
    begun = [spans().accept(job) for job, _ in jobs]

    def recorded(answers: Sequence[Acceptance | None]) -> None:
        for (_, end), answer in zip(begun, answers, strict=True):
            end(answer.value if answer is not None else "refused")

    return [(replace(job, trace=trace), rest) for (job, rest), (trace, _) in zip(jobs, begun, strict=True)], recorded


os.register_at_fork(after_in_child=lambda: use(None))
