"""What to do about a job, in a sentence: the table of docs/operations.md, for the page and the JSON API."""

from __future__ import annotations

from jobs.record import Job
from jobs.states import JobState, Wish

S = JobState

_LATER = "nothing: it goes on by itself when the provider answers"

#: By the kind of what is wrong, where no remedy came with it.
_OF_KIND = {
    "not_ready": "nothing: something must come first, and the message says what",
    "not_configured": "set what the message names, and restart the workers",
    "no_file": "put the file there; it goes on by itself",
    "storage": "make space in the storage, or mend it; it goes on by itself",
    "not_sent": _LATER,
    "busy": _LATER,
    "unauthorized": "correct the key of the provider, and restart the workers; the provider is paused meanwhile",
    "broker": "nothing: the task is sent when the broker answers",
    "next_refused": "the job is done; trigger what should follow it under an id of its own",
    "digest_mismatch": "ask the provider for a sound file, then replay the job",
}

_OF_STATE = {
    S.IN_DOUBT: "look at the provider: resolve the job with its id there, or send it again if the provider has nothing",
    S.EXPIRED: "look at the provider before you trigger it again; or resume it with a new deadline",
}


def advice(job: Job) -> str | None:
    """What to do about a job; none if there is nothing to say."""
    if job.wish is Wish.PAUSE:
        return "it is paused: resume it before its deadline"
    if job.failure and job.failure.remedy:
        return job.failure.remedy
    if job.state in _OF_STATE:
        return _OF_STATE[job.state]
    if job.failure is None:
        return None
    if job.failure.kind in _OF_KIND:
        return _OF_KIND[job.failure.kind]
    if job.state is S.FAILED:
        files = "replay it, or " if job.artifacts else ""
        return f"see what the message says; then {files}trigger it under a new id"
    return None if job.finished else "nothing: it is tried again, until its deadline"
