"""The record of a job, and the moves that may be made of it."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.artifacts import Artifact
from jobs.errors import IllegalMove, InvalidJob
from jobs.record import Announcement, Failure, Job, check_job_id, digest_of
from jobs.states import MOVES, TERMINAL, UNFINISHED, JobState

BOUNDED = settings(deadline=None, database=None, max_examples=150)
NOW = 1_790_000_000.0
JOB = Job(
    id="job-1",
    provider="alpha",
    workflow="alpha.make",
    state=JobState.POLLING,
    created_at=NOW - 60,
    deadline_at=NOW + 3600,
    seq=5,
    tags={"order": "4711"},
    request={"name": "a personal name"},
    intent={"key": "a private key"},
    receipt={"remote_id": "r-1", "token": "a session token"},
    submitted_at=NOW - 50,
    updated_at=NOW - 10,
    polls=3,
    word="minting",
    progress=40,
    message="in the queue",
    due_at=NOW + 5,
)


@pytest.mark.parametrize("job_id", ["a", "order-4711", "!", "~", "a/b:c%20", "x" * 200])
def test_a_good_id(job_id: str) -> None:
    """Printable ASCII without spaces is taken as it is."""
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["", " ", "a b", "a\n", "\n", "a\tb", "ä", "a\0", "\x7f", "x" * 201, "a\u2028"])
def test_a_bad_id(job_id: str) -> None:
    """Anything else is refused with the remedy, and is not repeated in the message."""
    with pytest.raises(InvalidJob, match="1 to 200 printable ASCII") as caught:
        check_job_id(job_id)
    assert not job_id.strip() or job_id not in str(caught.value)


def test_the_digest_tells_requests_apart() -> None:
    """The order of the fields does not matter; the workflow, the names and the values do."""
    digest = digest_of("alpha.make", {"a": 1, "b": {"c": [1, 2]}})
    assert digest == digest_of("alpha.make", {"b": {"c": [1, 2]}, "a": 1})
    others = [
        digest_of("alpha.take", {"a": 1, "b": {"c": [1, 2]}}),
        digest_of("alpha.make", {"a": 2, "b": {"c": [1, 2]}}),
        digest_of("alpha.make", {"a": "1", "b": {"c": [1, 2]}}),
        digest_of("alpha.make", {"a": 1, "b": {"c": [2, 1]}}),
        digest_of("alpha.make", {"a": 1}),
        digest_of("alpha.make", {}),
    ]
    assert len({digest, *others}) == 7
    assert len(digest) == 64


@given(
    request=st.dictionaries(
        st.text(st.characters(codec=None), max_size=5), st.text(st.characters(codec=None), max_size=5), max_size=4
    )
)
@BOUNDED
def test_any_text_has_a_digest(request: dict[str, str]) -> None:
    """Also text that no encoding takes; and a message sent as JSON gives the same."""
    assert digest_of("w", request) == digest_of("w", json.loads(json.dumps(request)))


def test_a_record_is_frozen() -> None:
    """A record is changed by moves only."""
    with pytest.raises(FrozenInstanceError):
        JOB.state = JobState.FAILED  # type: ignore[misc]


@pytest.mark.parametrize("source", list(JobState))
@pytest.mark.parametrize("target", list(JobState))
def test_a_move_keeps_to_the_table(source: JobState, target: JobState) -> None:
    """`to` gives the move from the record as read to the record as it shall be, or refuses it."""
    job = replace(JOB, state=source, due_at=None if source in TERMINAL else NOW)
    due = None if target in TERMINAL else NOW + 9
    if source in TERMINAL or (target is not source and target not in MOVES[source]):
        with pytest.raises(IllegalMove):
            job.to(target, now=NOW, due_at=due)
        return
    move = job.to(target, now=NOW, due_at=due, word="new")
    assert move.before is job
    assert move.news
    assert move.announcement is None
    assert move.after == replace(job, state=target, seq=job.seq + 1, due_at=due, updated_at=NOW, word="new")


@pytest.mark.parametrize("target", sorted(MOVES[JobState.POLLING]))
def test_a_wake_up_time_until_the_end(target: JobState) -> None:
    """An unfinished job must have one, a finished one must not."""
    wrong = NOW if target in TERMINAL else None
    with pytest.raises(ValueError, match="exactly one wake-up time"):
        JOB.to(target, now=NOW, due_at=wrong)


def test_a_move_forgets_the_last_failure() -> None:
    """What was wrong on the way is over with the next state, unless the move says why it ended."""
    troubled = replace(JOB, failure=Failure("busy", "HTTP 503"))
    assert troubled.to(JobState.EMITTING, now=NOW, due_at=NOW).after.failure is None
    why = Failure("provider_failed", "it says so")
    assert troubled.to(JobState.FAILED, now=NOW, failure=why).after.failure is why
    assert troubled.stay(now=NOW, due_at=NOW).after.failure == troubled.failure


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_staying_is_no_news_by_itself(state: JobState) -> None:
    """A new countdown, polls, attempts, a receipt: nothing that anybody waits for."""
    job = replace(JOB, state=state)
    move = job.stay(now=NOW, due_at=NOW + 5, polls=4, attempts=1, receipt={"remote_id": "r-2"})
    assert not move.news
    changed = {"seq": job.seq + 1, "polls": 4, "attempts": 1, "receipt": {"remote_id": "r-2"}}
    assert move.after == replace(job, due_at=NOW + 5, updated_at=NOW, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "news"),
    [
        ({"word": "minting"}, False),
        ({"word": "signing"}, True),
        ({"word": None}, True),
        ({"progress": 40}, False),
        ({"progress": 41}, True),
        ({"message": "nearly"}, True),
        ({"failure": None}, False),
        ({"failure": Failure("busy", "HTTP 503")}, True),
    ],
)
def test_staying_is_news_if_something_was_learnt(change: dict[str, Any], news: bool) -> None:
    """The same word again is no news; another is."""
    assert JOB.stay(now=NOW, due_at=NOW, **change).news is news


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_the_end_is_final(state: JobState) -> None:
    """A finished job neither goes nor stays."""
    done = replace(JOB, state=state, due_at=None)
    assert done.finished
    with pytest.raises(IllegalMove):
        done.stay(now=NOW, due_at=NOW)
    with pytest.raises(IllegalMove):
        done.to(state, now=NOW)


def test_a_move_can_be_announced() -> None:
    """The same move, telling whoever waits."""
    move = JOB.to(JobState.SUCCEEDED, now=NOW)
    told = move.announced(Announcement("key", "value", 60))
    assert (told.announcement, replace(told, announcement=None)) == (Announcement("key", "value", 60), move)
    assert told.announced(None) == move


def test_an_outcome_has_nothing_secret() -> None:
    """Neither the request, nor the intent, nor a seed, nor more of the receipt than the provider's id."""
    job = replace(
        JOB,
        artifacts=(Artifact("a.txt", link="/a?key=a private key", seed="a private key"),),
        failure=Failure("busy", "HTTP 503", "wait"),
        result={"n": 1},
    )
    outcome = job.outcome()
    assert not {"request", "intent", "receipt", "digest", "seq", "due_at"} & set(outcome)
    text = json.dumps(outcome)
    assert not [secret for secret in ("personal", "private", "session token") if secret in text]
    assert outcome == {
        "job_id": "job-1",
        "provider": "alpha",
        "workflow": "alpha.make",
        "state": "polling",
        "remote_id": "r-1",
        "status_word": "minting",
        "progress": 40,
        "message": "in the queue",
        "polls": 3,
        "tags": {"order": "4711"},
        "created_at": NOW - 60,
        "submitted_at": NOW - 50,
        "updated_at": NOW - 10,
        "deadline_at": NOW + 3600,
        "result": {"n": 1},
        "artifacts": [{"name": "a.txt", "verification": "pending"}],
        "error": {"kind": "busy", "message": "HTTP 503", "remedy": "wait"},
    }


def test_an_outcome_leaves_out_what_is_not_known() -> None:
    """A job that was refused has no remote side."""
    job = Job("job-1", "alpha", "alpha.make", JobState.FAILED, NOW, NOW, failure=Failure("invalid", "name: missing"))
    outcome = job.outcome()
    assert not {"remote_id", "status_word", "progress", "message", "submitted_at", "result"} & set(outcome)
    assert (outcome["state"], outcome["artifacts"], outcome["polls"]) == ("failed", [], 0)


def test_an_outcome_reads_the_same_everywhere() -> None:
    """Its times are whole milliseconds, as the ledger keeps them."""
    outcome = replace(JOB, updated_at=NOW + 0.0012, submitted_at=NOW + 0.1 + 0.2).outcome()
    assert (outcome["updated_at"], outcome["submitted_at"]) == (NOW + 0.001, NOW + 0.3)
