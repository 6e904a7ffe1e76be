"""The fetch stage: stream every file to storage, never whole in memory, looking at its bytes as they pass."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace

from celery import Celery, Task, shared_task

from config.fail_points import reach
from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.artifacts import Artifact, Inspector
from jobs.errors import ArtifactError, ConfigurationError, SettleError, SizeMismatch
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.states import JobState
from providers.errors import PermanentError, ProviderError
from tasks import gate
from tasks.announce import Announcer
from tasks.emit import emit_held
from tasks.onward import send_on
from tasks.stage import begin, conclude, fail
from tasks.verify import verify_held
from tasks.ways import WORKFLOWS

logger = logging.getLogger(__name__)

#: What must follow in the chain of a job whose small files are seen through here.
_REST = ("settle.verify", "settle.emit")

#: Files of one message that are fetched at the same time: a provider's downloads are not flooded by one worker.
_SIDE_BY_SIDE = 4
#: Whoever is done waits so long for its neighbours, in seconds: what comes together is written together.
_PATIENCE = 0.25

Fetched = tuple[Move, object]  # what follows, and what came of the calls


@shared_task(name="settle.fetch", bind=True, ignore_result=True)
def fetch(self: Task, *job_ids: str, seqs: list[int] | None = None) -> str:
    """Fetch the files of jobs of one provider; small ones are verified and emitted at once."""
    run, announcer = runtime(), Announcer.of(self)
    jobs = begin(run, announcer, job_ids, seqs, (JobState.FETCHING,))
    ends: list[str] = []
    if jobs and not gate.send_back(run, announcer, jobs):
        with closing(_as_they_come(run, jobs)) as waves:
            for some in waves:
                with announcer.at_once():
                    ends += _go_on(run, announcer, self.app, some)
    return ", ".join(ends) or "nothing to do"


def _as_they_come(run: Runtime, jobs: list[Job]) -> Generator[list[Fetched]]:
    """Fetch side by side. None waits long for a slow neighbour, and all are held until they are done."""
    pending = run.loop.run(_start(run, jobs))
    try:
        while pending:
            done, pending = run.loop.run(_some(pending))
            yield [task.result() for task in done]
    finally:
        if pending:
            run.loop.run(_end(pending))


async def _start(run: Runtime, jobs: list[Job]) -> set[asyncio.Task[Fetched]]:
    slots = asyncio.Semaphore(_SIDE_BY_SIDE)
    return {asyncio.create_task(_fetch(run, job, slots)) for job in jobs}


async def _some(pending: set[asyncio.Task[Fetched]]) -> tuple[set[asyncio.Task[Fetched]], set[asyncio.Task[Fetched]]]:
    done, left = await asyncio.wait(pending, timeout=_PATIENCE)
    return (done, left) if done else await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)


async def _end(pending: set[asyncio.Task[Fetched]]) -> None:
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)


def _go_on(run: Runtime, announcer: Announcer, app: Celery, some: list[Fetched]) -> list[str]:
    """Write what became of files, and send on what is large. Returns where each job stands."""
    moves = [move for move, _ in some]
    reach(run.settings, "fetch.after_store")
    written = conclude(run, moves, announcer)
    gate.mind(run, moves[0].before.provider, [answer for _, answer in some])
    small = [job for job in written if _small(run, job)]
    others = [job for job in written if job not in small]
    send_on(run, [job for job in others if job.state is JobState.VERIFYING])
    return [str(job.state) for job in others] + _see_through(run, announcer, app, small)


def _see_through(run: Runtime, announcer: Announcer, app: Celery, small: list[Job]) -> list[str]:
    """The rest of the chain, here and now: a message for each stage would cost more than its work."""
    verified = verify_held(run, announcer, small) if small else []
    whole = [job for job in verified if job.state is JobState.EMITTING]
    ends = [str(job.state) for job in verified if job.state is not JobState.EMITTING]
    return ends + [str(state) for state in (emit_held(run, announcer, app, whole) if whole else ())]


def _small(run: Runtime, job: Job) -> bool:
    if job.state is not JobState.VERIFYING or WORKFLOWS[job.workflow].after("settle.fetch") != _REST:
        return False
    return sum(artifact.stored_size or 0 for artifact in job.artifacts) <= run.settings.small_files


async def _fetch(run: Runtime, job: Job, slots: asyncio.Semaphore) -> Fetched:
    holding = asyncio.create_task(_hold(run, job))
    try:
        async with slots:
            return await _fetch_all(run, job)
    finally:
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding


@traced("fetch")
async def _fetch_all(run: Runtime, job: Job) -> Fetched:
    try:
        found = tuple([await _fetch_one(run, job, artifact) for artifact in job.artifacts])
    except (ProviderError, ArtifactError, ConfigurationError, OSError, TimeoutError) as error:
        await gate.heed(run, job.provider, error)
        return _after_error(run, job, error), error
    except Exception as error:  # a defect of ours: the job waits and is tried again, until its deadline
        logger.exception("fetch_failed", extra={"fields": {"job_id": job.id}})
        return _after_error(run, job, SettleError(f"the fetch broke ({type(error).__name__})")), error
    now = run.clock.now()
    return job.to(JobState.VERIFYING, now=now, due_at=now + run.settings.lease, artifacts=found, attempts=0), None


async def _hold(run: Runtime, job: Job) -> None:
    """Renew the lease for as long as the fetch takes."""
    while True:
        await asyncio.sleep(run.settings.lease / 3)
        if not await asyncio.to_thread(run.ledger.renew, job, run.settings.lease):
            return


async def _fetch_one(run: Runtime, job: Job, artifact: Artifact) -> Artifact:
    """Stream one file to its place; it gets there only if it is what was promised.

    Raises:
        ArtifactError: it is not.
        ProviderError: it could not be fetched.
        OSError: it could not be stored.
    """
    provider = run.provider(job.provider)
    operation = provider.operation(job.workflow.partition(".")[2])
    inspector, limit = Inspector(artifact), provider.settings.max_artifact_bytes
    path = run.storage.path(job.provider, job.id, artifact.name)
    run.storage.sweep(path)
    with run.storage.writing(path, str(job.seq)) as out:
        async with operation.download(job, artifact) as chunks:
            async for chunk in chunks:
                inspector.update(chunk)
                if (size := max(inspector.size, inspector.content_size)) > limit:
                    raise SizeMismatch(artifact.name, f"at most {limit} bytes", f"at least {size}")
                out.write(chunk)
                reach(run.settings, "fetch.midway")
        rule = inspector.matching_rule()
    return replace(
        artifact,
        uri=run.storage.uri(path),
        stored_size=inspector.size,
        stored_sha256=inspector.sha256,
        rule=rule,
        digest_of=inspector.digest_of,
    )


def _after_error(run: Runtime, job: Job, error: Exception) -> Move:
    """A file that differs is fetched again a few times: the way here may have spoilt it. An outage only costs time."""
    now = run.clock.now()
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        kind, message = "storage", f"the storage refused: {error.strerror or type(error).__name__}"
    elif isinstance(error, ProviderError):
        kind, message = error.kind, str(error)
    else:
        kind, message = _kind(error), str(error)
    # Only equal failures in a row add up: an outage before a file that differs does not count against the file.
    attempts = job.attempts + 1 if job.failure and job.failure.kind == kind else 1
    hopeless = isinstance(error, ArtifactError | PermanentError) and attempts >= run.settings.fetch_attempts
    if hopeless or now >= job.deadline_at:
        remedy = "the provider's job itself succeeded: take the file up with the provider, with the job's remote id"
        return fail(job, now, kind, message, remedy)
    due_at = min(now + backoff(attempts), max(job.deadline_at, now))
    return job.stay(now=now, due_at=due_at, failure=Failure(kind, message), attempts=attempts)


def _kind(error: Exception) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__).lstrip("_")
