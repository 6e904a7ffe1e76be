"""The poll stage: look at a bundle of jobs at once, and write all moves in one pipeline.

A job whose status is not terminal *reschedules itself with a countdown*, which waits in the ledger, not in a message.
A job with nothing to fetch and nothing to start is finished by this very write; the others go on with the rest of their
chain.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from celery import Task, shared_task

from config import metrics
from config.fail_points import reach
from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.errors import ConfigurationError
from jobs.learning import Lesson
from jobs.policy import RETRY_AFTER_CAP, PollPolicy, backoff, countdown, remaining
from jobs.record import Failure, Job, Move
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.errors import Busy, LostAnswer, ProviderError
from tasks import gate
from tasks.announce import Announcer
from tasks.clock import Bundled
from tasks.onward import send_on
from tasks.stage import begin, close, conclude, expire

logger = logging.getLogger(__name__)

_new_words: set[tuple[str, str]] = set()


@shared_task(name="settle.poll", bind=True, ignore_result=True, base=Bundled)
def poll(self: Task, *job_ids: str, seqs: list[int] | None = None, bundle: str | None = None) -> str:
    """Look at jobs of one provider, all at the same time."""
    run, announcer = runtime(), Announcer.of(self)
    jobs = begin(run, announcer, job_ids, seqs, (JobState.POLLING,))
    if jobs and not gate.send_back(run, announcer, jobs):
        answers = run.loop.run(_observe_all(run, jobs))
        reach(run.settings, "poll.after_answer")
        now = run.clock.now()
        own = run.settings.providers()[jobs[0].provider]
        policy, lease = own.poll_policy(), run.settings.lease
        moves = [
            after_poll(job, answer, now, policy, lease, run.planned(own, job, now))
            for job, answer in zip(jobs, answers, strict=True)
        ]
        metrics.polled(self.request, job_ids, jobs, answers, lease)
        written = conclude(run, moves, announcer)
        reach(run.settings, "poll.after_write")
        send_on(run, written)
        gate.mind(run, jobs[0].provider, answers)
        _learn(run, moves, answers, {job.id for job in written}, now)
    close(run, job_ids, bundle)
    return f"{len(jobs)} of {len(job_ids)}"


def _learn(
    run: Runtime, moves: list[Move], answers: list[Observation | Exception], written: set[str], now: float
) -> None:
    """Keep how long the remote part of jobs took, for the plans of looks to come."""
    provider = moves[0].before.provider
    lessons = [
        lesson(move.before, now)
        for move, answer in zip(moves, answers, strict=True)
        if isinstance(answer, Observation) and answer.verdict is not Verdict.RUNNING and move.before.id in written
    ]
    if run.settings.providers()[provider].poll_learn and (taught := [each for each in lessons if each]):
        run.plans.learn(provider, taught)


def lesson(job: Job, now: float) -> Lesson | None:
    """What a job that was just found over teaches; nothing if the last look brought no answer.

    Args:
        job: as it was before that look.
        now: the time of the look.
    """
    if job.submitted_at is None or job.attempts:
        return None
    return Lesson(
        job.workflow, after=job.updated_at - job.submitted_at if job.polls else 0.0, by=now - job.submitted_at
    )


async def _observe_all(run: Runtime, jobs: list[Job]) -> list[Observation | Exception]:
    answers: list[Observation | Exception] = [LostAnswer("no answer in time")] * len(jobs)

    async def look(number: int, job: Job) -> None:
        answers[number] = await _observe(run, job)

    # One time-out for all: each of its own costs a task and a timer per poll.
    with suppress(TimeoutError):
        async with asyncio.timeout(run.settings.lease * 0.8):
            await asyncio.gather(*(look(number, job) for number, job in enumerate(jobs)))
    return answers


async def _observe(run: Runtime, job: Job) -> Observation | Exception:
    answer = await _ask(run, job)
    await gate.heed(run, job.provider, answer)
    return answer


@traced("poll")
async def _ask(run: Runtime, job: Job) -> Observation | Exception:
    try:
        operation = run.provider(job.provider).operation(job.workflow.partition(".")[2])
        return await operation.observe(job)
    except (ProviderError, ConfigurationError) as error:
        return error
    except Exception as error:  # a defect of ours, or an answer nobody thought of: the other jobs go on
        logger.exception("observe_failed", extra={"fields": {"job_id": job.id}})
        return error


def after_poll(
    job: Job,
    answer: Observation | Exception,
    now: float,
    policy: PollPolicy,
    lease: float,
    planned: float | None = None,
) -> Move:
    """What follows from one poll. Pure.

    Args:
        job: as it was polled.
        answer: what was observed, or the error instead.
        now: the time.
        policy: the provider's window.
        lease: a next stage that was published but never began is published again after so many seconds.
        planned: seconds to the next look, as finished jobs have taught.
    """
    if isinstance(answer, Exception):
        return _after_error(job, answer, now, policy)
    if not answer.known and answer.word is not None:
        _log_new_word(job, answer.word)
    seen: dict[str, Any] = {
        "polls": job.polls + 1,
        "attempts": 0,
        "word": answer.word,
        "progress": answer.progress,
        "message": answer.message,
    }
    if answer.verdict is Verdict.SUCCEEDED:
        if answer.artifacts:
            return job.to(
                JobState.FETCHING,
                now=now,
                due_at=now + lease,
                artifacts=answer.artifacts,
                result=answer.result,
                **seen,
            )
        if job.then:
            return job.to(JobState.EMITTING, now=now, due_at=now + lease, result=answer.result, **seen)
        return job.to(JobState.SUCCEEDED, now=now, result=answer.result, **seen)
    if answer.verdict is Verdict.FAILED:
        message = answer.message or f"the provider says {answer.word!r}"
        failure = Failure("provider_failed", f"the provider failed the job: {message}")
        return job.to(JobState.FAILED, now=now, **{**seen, "failure": failure, "result": answer.result or None})
    if now >= job.deadline_at:
        return expire(job, now)
    eta = answer.eta or _eta(job, answer.progress, now)
    wait = countdown(policy, polls=job.polls + 1, eta=eta, planned=planned)
    return job.stay(now=now, due_at=min(now + wait, job.deadline_at), failure=None, **seen)


def _eta(job: Job, progress: int | None, now: float) -> float | None:
    """When a job that reports its progress should be ready, in seconds."""
    if job.submitted_at is None:
        return None
    return remaining(progress, now - job.submitted_at, before=job.progress, since=now - job.updated_at)


def _after_error(job: Job, error: Exception, now: float, policy: PollPolicy) -> Move:
    """A poll that brought no observation costs the job time, never its life."""
    if now >= job.deadline_at:
        return expire(job, now)
    if isinstance(error, ProviderError):
        failure = Failure(error.kind, str(error))
    elif isinstance(error, ConfigurationError):
        failure = Failure("not_configured", str(error))
    else:
        failure = Failure("defect", f"the poll broke ({type(error).__name__})", "report it; the log has the details")
    wait = max(backoff(job.attempts + 1, base=policy.minimum, cap=max(policy.maximum, 60.0)), policy.minimum)
    if isinstance(error, Busy) and error.retry_after is not None:
        wait = max(wait, min(error.retry_after, RETRY_AFTER_CAP))
    return job.stay(
        now=now,
        due_at=min(now + wait, job.deadline_at),
        failure=failure,
        polls=job.polls + 1,
        attempts=job.attempts + 1,
    )


def _log_new_word(job: Job, word: str) -> None:
    if (job.provider, word) not in _new_words:
        _new_words.add((job.provider, word))
        logger.warning("unknown_status_word", extra={"fields": {"provider": job.provider, "word": word[:40]}})
