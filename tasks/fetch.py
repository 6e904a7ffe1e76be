"""The fetch stage: stream every file to storage, never whole in memory, looking at its bytes as they pass."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any

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
from tasks.stage import begin, break_chain, conclude, fail
from tasks.verify import verify_held

logger = logging.getLogger(__name__)


@shared_task(name="settle.fetch", bind=True, ignore_result=True)
def fetch(self: Task, job_id: str, seq: int | None = None) -> str:
    """Fetch the files of one job; small ones are verified and emitted at once."""
    run, announcer = runtime(), Announcer.of(self)
    for job in begin(run, announcer, [job_id], [seq] if seq is not None else None, (JobState.FETCHING,)):
        if gate.send_back(run, announcer, [job]):
            break
        with announcer.at_once():
            return _fetch_held(self, run, announcer, job)
    break_chain(self)
    return "nothing to do"


def _fetch_held(task: Task, run: Runtime, announcer: Announcer, job: Job) -> str:
    """Fetch the files of a job that is held."""
    move, answer = run.loop.run(_fetch(run, job))
    reach(run.settings, "fetch.after_store")
    fetched = next(iter(conclude(run, [move], announcer)), None)
    gate.mind(run, job.provider, [answer])
    if fetched is None or fetched.state is not JobState.VERIFYING:
        break_chain(task)
        return str(move.after.state)
    said = f"{len(fetched.artifacts)} file(s)"
    if _small(run, fetched) and _only_these_follow(task):
        break_chain(task)
        return f"{said}, {_go_on(run, announcer, task.app, fetched)}"
    return said


def _small(run: Runtime, job: Job) -> bool:
    return sum(artifact.stored_size or 0 for artifact in job.artifacts) <= run.settings.small_files


def _only_these_follow(task: Task) -> bool:
    following: Any = task.request.chain or []
    return [step["task"] for step in following] == ["settle.emit", "settle.verify"]  # the last one first


def _go_on(run: Runtime, announcer: Announcer, app: Celery, job: Job) -> JobState:
    """The rest of the chain, here and now: for a small file each message would cost more than its work."""
    verified = verify_held(run, announcer, job)
    if verified is None or verified.state is not JobState.EMITTING:
        return verified.state if verified else job.state
    return emit_held(run, announcer, app, verified)


@traced("fetch")
async def _fetch(run: Runtime, job: Job) -> tuple[Move, object]:
    holding = asyncio.create_task(_hold(run, job))
    try:
        found = tuple([await _fetch_one(run, job, artifact) for artifact in job.artifacts])
    except (ProviderError, ArtifactError, ConfigurationError, OSError, TimeoutError) as error:
        await gate.heed(run, job.provider, error)
        return _after_error(run, job, error), error
    except Exception as error:  # a defect of ours: the job waits and is tried again, until its deadline
        logger.exception("fetch_failed", extra={"fields": {"job_id": job.id}})
        return _after_error(run, job, SettleError(f"the fetch broke ({type(error).__name__})")), error
    finally:
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding
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
