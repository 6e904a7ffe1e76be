"""The verify stage: read every stored file again from rest, and compare it with what was promised of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from celery import Task, shared_task

from config.fail_points import reach
from config.runtime import Runtime, runtime
from config.traces import traced
from jobs.artifacts import Artifact, Inspector, Verification
from jobs.errors import ArtifactError, DigestMismatch, DuplicateLine, LineCountMismatch, LineLengthMismatch
from jobs.policy import backoff
from jobs.record import Failure, Job, Move
from jobs.states import JobState
from providers.unique_tokens.distinct import Distinct
from tasks.announce import Announcer
from tasks.stage import begin, break_chain, conclude, fail

_KINDS = {
    DuplicateLine: "duplicate_line",
    LineCountMismatch: "line_count_mismatch",
    LineLengthMismatch: "line_length_mismatch",
}


@shared_task(name="settle.verify", bind=True, ignore_result=True)
def verify(self: Task, job_id: str, seq: int | None = None) -> str:
    """Verify the files of one job."""
    run, announcer = runtime(), Announcer.of(self)
    for job in begin(run, announcer, [job_id], [seq] if seq is not None else None, (JobState.VERIFYING,)):
        for verified in verify_held(run, announcer, [job]):
            if verified.state is JobState.EMITTING:
                return ", ".join(f"{artifact.name} {artifact.verification}" for artifact in verified.artifacts)
            job = verified
        break_chain(self)
        return str(job.state)
    break_chain(self)
    return "nothing to do"


def verify_held(run: Runtime, announcer: Announcer, jobs: Sequence[Job]) -> list[Job]:
    """Verify the files of jobs that are held. Returns them as they stand then; not those that somebody else moved."""
    moves = [_verify(run, job) for job in jobs]
    reach(run.settings, "verify.after_read")
    return conclude(run, moves, announcer)


@traced("verify")
def _verify(run: Runtime, job: Job) -> Move:
    try:
        found = tuple(_check(run, job, artifact) for artifact in job.artifacts)
    except (DuplicateLine, LineCountMismatch, LineLengthMismatch) as error:  # the file is as it was fetched
        remedy = "take it up with the provider, with the job's remote id; the file is kept where it is stored"
        return fail(job, run.clock.now(), _KINDS[type(error)], str(error), remedy)
    except ArtifactError as error:
        remedy = "the stored file changed after it was fetched: check the storage, then trigger the job again"
        return fail(job, run.clock.now(), "spoilt_at_rest", str(error), remedy)
    except OSError as error:
        now, attempts = run.clock.now(), job.attempts + 1
        message = f"a stored file cannot be read: {error.strerror or type(error).__name__}"
        if now >= job.deadline_at:
            return fail(job, now, "storage", message)
        due_at = min(now + backoff(attempts), job.deadline_at)
        return job.stay(now=now, due_at=due_at, failure=Failure("storage", message), attempts=attempts)
    now = run.clock.now()
    return job.to(JobState.EMITTING, now=now, due_at=now + run.settings.lease, artifacts=found, attempts=0)


def _check(run: Runtime, job: Job, artifact: Artifact) -> Artifact:
    """Read one file from rest.

    Raises:
        ArtifactError: it is not what was promised, or not what was stored.
        OSError: it cannot be read.
    """
    renewed = run.clock.now()

    def beat() -> None:
        nonlocal renewed
        if run.clock.now() - renewed > run.settings.lease / 3:
            run.ledger.renew(job, run.settings.lease)
            renewed = run.clock.now()

    lines = Distinct(artifact.name) if artifact.distinct else None
    inspector = Inspector(artifact, lines.update if lines else None)
    for chunk in run.storage.chunks(artifact.uri or ""):
        inspector.update(chunk)
        beat()
    if inspector.sha256 != artifact.stored_sha256:
        raise DigestMismatch(artifact.name, artifact.stored_sha256, inspector.sha256)
    rule = inspector.matching_rule()
    if lines:
        lines.finish()
    return replace(
        artifact, rule=rule, verification=Verification.VERIFIED if rule is not None else Verification.UNVERIFIED
    )
