"""The submit stage: send a request once.

Before the POST the intent is in the ledger, after it the receipt. What never left, or what the provider documents as
not carried out, may be sent again. Any other answer without a receipt leaves the job in doubt, and so does a crash
while it was being sent: then the provider is asked. Only where it certainly has nothing is the job sent again, a few
times and ever more rarely; then a person decides.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

from celery import Task, shared_task
from pydantic import ValidationError

from config import metrics
from config.fail_points import reach
from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.errors import ConfigurationError, InvalidJob, RecordTooNew
from jobs.policy import RETRY_AFTER_CAP, backoff, countdown
from jobs.record import Failure, Job, Move
from jobs.states import JobState, Wish
from providers.base import Located, Operation
from providers.errors import LostAnswer, NotSent, PermanentError, ProviderError, TransientError
from providers.trigger import problems
from tasks import gate
from tasks.announce import Announcer
from tasks.clock import Bundled
from tasks.measure import hand_over
from tasks.parts import start_parts
from tasks.replicas import only_copied
from tasks.stage import begin, close, conclude, expire, fail

logger = logging.getLogger(__name__)

Receipt = Mapping[str, Any]

#: A job in doubt is asked for at most this rarely, in seconds, until its deadline.
_DOUBT_CAP = 900.0

#: From a submission whose answer was lost to the next one, as multiples of `doubt_grace`; the last one stands for more.
#: The first repeat waits for the provider's answer alone, which is asked for after one `doubt_grace`.
_RESEND_AFTER = (0, 12, 48, 180)


@shared_task(name="settle.submit", bind=True, ignore_result=True, base=Bundled)
def submit(self: Task, *job_ids: str, seqs: list[int] | None = None, bundle: str | None = None) -> str:
    """Submit jobs of one provider; those in doubt are asked for instead."""
    run, announcer = runtime(), Announcer.of(self)
    # Without a claim only what was never sent may begin: a job in doubt is asked for when its grace is over.
    states = (JobState.ACCEPTED, JobState.SUBMITTING, JobState.IN_DOUBT) if seqs else (JobState.ACCEPTED,)
    jobs = hand_over(run, announcer, begin(run, announcer, job_ids, seqs, states))
    if jobs and not gate.send_back(run, announcer, jobs):
        # Doubts first: asking takes time, and an intent must be fresh when its request leaves, or its lease is over
        # before its answer can be there.
        admission = gate.Admission(run, jobs[0].provider, len(jobs))
        doubtful = [job for job in jobs if job.state is not JobState.ACCEPTED]
        ready, asked = _settle_doubts(run, announcer, doubtful, admission)
        fresh = [job for job in jobs if job.state is JobState.ACCEPTED]
        if not (asked and gate.send_back(run, announcer, fresh)):  # asking may have closed the gate
            ready += _ready(run, announcer, fresh, admission)
        ready = only_copied(run, announcer, ready)
        if ready:
            reach(run.settings, "submit.after_intent")
        answers = run.loop.run(_send_all(run, ready, announcer))
        gate.mind(run, jobs[0].provider, [*asked, *gate.record_submissions(run, jobs[0].provider, answers)])
        metrics.submitted(jobs[0].provider, asked, answers)
    close(run, job_ids, bundle)
    return f"{len(jobs)} of {len(job_ids)}"


def _operation(run: Runtime, job: Job) -> Operation[Any]:
    return run.provider(job.provider).operation(job.workflow.partition(".")[2])


def _request(operation: Operation[Any], job: Job) -> Any:
    return operation.request.model_validate(dict(job.request or {}))


def _intent(run: Runtime, job: Job) -> dict[str, Any]:
    """The intent of the attempt that is about to begin."""
    operation = _operation(run, job)
    request = _request(operation, job)
    if job.intent is None:
        return operation.intent(request, job.id)
    kept = {name: job.intent[name] for name in ("sends", "resend_at") if name in job.intent}
    return {**operation.again(request, job), **kept}


def _ready(run: Runtime, announcer: Announcer, jobs: list[Job], admission: gate.Admission) -> list[Job]:
    """Write the intents. Only whoever wins this move may send."""
    now = run.clock.now()
    moves: list[Move] = []
    for job in jobs:
        if now >= job.deadline_at:
            moves.append(expire(job, now))
            continue
        try:
            intent = _intent(run, job)
        except ConfigurationError as error:
            failure = Failure("not_configured", str(error))
            moves.append(job.stay(due_at=now + 60.0, now=now, failure=failure, attempts=job.attempts + 1))
            continue
        except RecordTooNew as error:  # of another job that this one needs: a newer worker may come before the next try
            moves.append(job.stay(due_at=now + 60.0, now=now, failure=Failure("record_too_new", str(error))))
            continue
        except ValidationError as error:  # accepted by another version of this application
            moves.append(fail(job, now, "invalid", problems(error)))
            continue
        except InvalidJob as error:
            moves.append(fail(job, now, "invalid", str(error), "correct the fields and trigger it under a new id"))
            continue
        if not admission.admit():
            moves.append(job.stay(due_at=min(admission.until, job.deadline_at), now=now))
            continue
        moves.append(job.to(JobState.SUBMITTING, now=now, due_at=now + run.settings.lease, intent=intent))
    return [job for job in conclude(run, moves, announcer) if job.state is JobState.SUBMITTING]


def _settle_doubts(
    run: Runtime, announcer: Announcer, jobs: list[Job], admission: gate.Admission
) -> tuple[list[Job], list[Located | Exception]]:
    """Ask the provider for jobs in doubt. Returns those it certainly has not, ready to be sent; and all its answers."""
    if not jobs:
        return [], []
    now = run.clock.now()
    # Somebody looked and said so: these are sent again without being asked for.
    vouched = [job for job in jobs if job.wish is Wish.RESUBMIT and job.state is JobState.IN_DOUBT]
    jobs = [job for job in jobs if job not in vouched]
    crashed = [
        _doubted(run, job, now, due_at=now + run.settings.lease) for job in jobs if job.state is JobState.SUBMITTING
    ]
    doubtful = [job for job in jobs if job.state is JobState.IN_DOUBT] + conclude(run, crashed, announcer)
    # Whoever reads the ledger in between sees the job held: `conclude` set its wake-up a lease ahead.
    answers = run.loop.run(_ask_all(run, doubtful))
    known = [*answers, *[Located(absent=True)] * len(vouched)]
    moves = [_after_asking(run, job, answer, admission) for job, answer in zip(doubtful + vouched, known, strict=True)]
    return [job for job in conclude(run, moves, announcer) if job.state is JobState.SUBMITTING], answers


_DOUBT = Failure(
    kind="in_doubt",
    message="the answer to the submission was lost; the provider is being asked",
    remedy="if it stays so, look at the provider; by itself the job is sent again only where the provider has nothing",
)


def _doubted(run: Runtime, job: Job, now: float, *, due_at: float) -> Move:
    """The move of a job that was sent, and whose answer did not come or proves nothing."""
    sends = int((job.intent or {}).get("sends", 0)) + 1
    wait = run.settings.doubt_grace * _RESEND_AFTER[min(sends, len(_RESEND_AFTER)) - 1]
    intent = {**(job.intent or {}), "sends": sends, "resend_at": now + wait}
    return job.to(JobState.IN_DOUBT, now=now, due_at=due_at, failure=_DOUBT, attempts=0, intent=intent)


def _exhausted(sends: int) -> Failure:
    return Failure(
        kind="submissions_exhausted",
        message=f"sent {sends} times, every answer was lost, and the provider has nothing",
        remedy="find out what keeps its answers away, then: settle resolve ID --resubmit, --remote-id or --fail",
    )


async def _ask_all(run: Runtime, jobs: list[Job]) -> list[Located | Exception]:
    return await asyncio.gather(*(_locate(run, job) for job in jobs))


@traced("locate")
async def _locate(run: Runtime, job: Job) -> Located | Exception:
    try:
        operation = _operation(run, job)
        return await asyncio.wait_for(
            operation.locate(_request(operation, job), job.intent or {}), run.settings.lease * 0.8
        )
    except TimeoutError:
        return LostAnswer("no answer in time")
    except Exception as error:
        await gate.heed(run, job.provider, error)
        return error


def _after_asking(run: Runtime, job: Job, answer: Located | Exception, admission: gate.Admission) -> Move:
    now = run.clock.now()
    if isinstance(answer, Located):
        if answer.receipt is not None:
            return _submitted(run, job, answer.receipt)
        if answer.gone is not None:
            return fail(job, now, "never_arrived", answer.gone, "trigger it under a new id")
        if answer.absent and now < job.deadline_at:
            return _send_again(run, job, now, admission)
    elif not isinstance(answer, ProviderError | TimeoutError):
        logger.error("locate_failed", extra={"fields": {"job_id": job.id, "error": type(answer).__name__}})
    if now >= job.deadline_at:
        return expire(job, now)
    return _ask_later(run, job, now)


def _send_again(run: Runtime, job: Job, now: float, admission: gate.Admission) -> Move:
    """The move of a job that the provider certainly has not: it is sent once more, later, or not by itself any more."""
    sends = int((job.intent or {}).get("sends", 0))
    resend_at = float((job.intent or {}).get("resend_at", 0.0))
    if job.wish is not Wish.RESUBMIT:  # a person may have it sent at once, and once more
        if sends >= run.settings.submissions:
            return _ask_later(run, job, now, _exhausted(sends))
        if now < resend_at:
            return _ask_later(run, job, now, until=resend_at)
    # What was sent may be too old to be sent as it was: the new intent is written by the move that sends it.
    try:
        intent = _intent(run, job)
    except (ConfigurationError, ValidationError) as error:
        failure = Failure("not_configured", str(error) if isinstance(error, ConfigurationError) else "invalid")
        return job.stay(due_at=now + 60.0, now=now, failure=failure, attempts=job.attempts + 1)
    if not admission.admit():
        return job.stay(due_at=min(admission.until, job.deadline_at), now=now, failure=_DOUBT)
    lease = run.settings.lease
    return job.to(JobState.SUBMITTING, now=now, due_at=now + lease, intent=intent, attempts=0, wish=None)


def _ask_later(run: Runtime, job: Job, now: float, failure: Failure = _DOUBT, *, until: float = math.inf) -> Move:
    wait = backoff(job.attempts + 1, base=run.settings.doubt_grace, cap=_DOUBT_CAP)
    due_at = min(now + wait, until, job.deadline_at)
    return job.stay(due_at=due_at, now=now, failure=failure, attempts=job.attempts + 1)


async def _send_all(run: Runtime, jobs: list[Job], announcer: Announcer) -> list[Receipt | ProviderError]:
    writer = _Writer(run, announcer)

    async def settle(job: Job) -> Receipt | ProviderError:
        answer = await _send(run, job, announcer)
        reach(run.settings, "submit.after_post")
        await gate.heed(run, job.provider, answer)
        # Each receipt at once: a slow neighbour in the bundle must not widen the window in which a crash means doubt.
        await writer.write(
            _after_error(run, job, answer) if isinstance(answer, ProviderError) else _submitted(run, job, answer)
        )
        reach(run.settings, "submit.after_receipt")
        return answer

    return await asyncio.gather(*map(settle, jobs))


class _Writer:
    """Writes moves as they come. What comes while a write is under way goes together with the next one."""

    def __init__(self, run: Runtime, announcer: Announcer) -> None:
        self._run, self._announcer = run, announcer
        self._turn = asyncio.Lock()
        self._next: tuple[list[Move], asyncio.Task[None]] | None = None

    async def write(self, move: Move) -> None:
        """Write a move. Returns when it is in the ledger, or when somebody else turned out to have moved the job.

        Raises:
            RedisError: the ledger is away.
        """
        if self._next is None:
            self._next = ([], asyncio.create_task(self._flush()))
        moves, written = self._next
        moves.append(move)
        await asyncio.shield(written)

    async def _flush(self) -> None:
        async with self._turn:
            if self._next is not None:
                moves, self._next = self._next[0], None
                await asyncio.to_thread(conclude, self._run, moves, self._announcer)


@traced("submit")
async def _send(run: Runtime, job: Job, announcer: Announcer) -> Receipt | ProviderError:
    left = (job.due_at or 0.0) - run.clock.now() - run.settings.lease * 0.2
    if left <= 0:  # this process stood still: somebody else may be asking, or sending, already
        return NotSent("the claim was nearly over before anything was sent")
    try:
        operation = _operation(run, job)
        request = _request(operation, job)
    except (ConfigurationError, ValidationError) as error:
        return NotSent(f"nothing was sent: {type(error).__name__}")
    try:
        refused: list[str] = []
        if parts := operation.parts(request, job.id):
            refused = await asyncio.to_thread(start_parts, run, announcer, job, parts)
        receipt = await asyncio.wait_for(operation.submit(request, job.intent or {}), left)
        return {**receipt, "refused": refused} if refused else receipt
    except ProviderError as error:
        return error
    except TimeoutError:
        return LostAnswer("no answer in time")
    except Exception as error:  # a defect of ours: what was sent is unknown, so the provider is asked
        logger.exception("submit_failed", extra={"fields": {"job_id": job.id}})
        return LostAnswer(f"the submission broke ({type(error).__name__})")


def _submitted(run: Runtime, job: Job, receipt: Receipt) -> Move:
    """The receipt is in our hands: from now on only the status is asked for, and the body is forgotten."""
    now = run.clock.now()
    own = run.settings.providers()[job.provider]
    wait = countdown(own.poll_policy(), polls=0, planned=run.planned(own, job, now))
    return job.to(
        JobState.POLLING,
        now=now,
        due_at=min(now + wait, job.deadline_at),
        receipt=receipt,
        submitted_at=now,
        request=None,
        attempts=0,
    )


def _after_error(run: Runtime, job: Job, error: ProviderError) -> Move:
    now = run.clock.now()
    if isinstance(error, PermanentError):
        return fail(job, now, "refused", f"the provider refused the request: {error}")
    if isinstance(error, TransientError) and error.may_have_arrived:
        return _doubted(run, job, now, due_at=now + run.settings.doubt_grace)
    wait = backoff(job.attempts + 1)
    if isinstance(error, TransientError) and error.retry_after is not None:
        wait = max(wait, min(error.retry_after, RETRY_AFTER_CAP))
    return job.to(
        JobState.ACCEPTED,
        now=now,
        due_at=min(now + wait, max(job.deadline_at, now)),
        failure=Failure(error.kind, str(error)),
        attempts=job.attempts + 1,
    )
