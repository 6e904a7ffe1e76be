"""The stored form of a job: nothing is lost on the way to the ledger and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import codec
from jobs.artifacts import Artifact, DigestRule, Verification
from jobs.clock import ManualClock
from jobs.errors import SettleError
from jobs.ledger import Ledger
from jobs.record import RECORD_VERSION, Failure, Job, Move
from jobs.states import TERMINAL, JobState, Wish

#: The caller's trace, as `jobs.trace` lets it through.
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

BOUNDED = settings(settings.get_profile("ledger"), max_examples=100)

#: Any text that JSON can bring: control characters, other scripts, lone surrogates.
texts = st.text(st.characters(codec=None), max_size=12)
#: The ledger counts in whole milliseconds.
times = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
numbers = st.integers(0, 10**9)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
documents = st.none() | st.dictionaries(texts, plain, max_size=3)
artifacts = st.builds(
    Artifact,
    name=texts,
    link=st.none() | texts,
    size=st.none() | numbers,
    lines=st.none() | numbers,
    sha256=st.none() | texts,
    seed=st.none() | texts,
    uri=st.none() | texts,
    stored_size=st.none() | numbers,
    stored_sha256=st.none() | texts,
    rule=st.none() | st.sampled_from(DigestRule),
    verification=st.sampled_from(Verification),
)
failures = st.builds(Failure, kind=texts, message=texts, remedy=st.none() | texts)
links = texts.filter(bool)
contents = st.fixed_dictionaries(
    {
        "tags": st.dictionaries(texts, texts, max_size=3),
        "request": documents,
        "intent": documents,
        "receipt": documents,
        "submitted_at": st.none() | times,
        "updated_at": times,
        "polls": numbers,
        "attempts": numbers,
        "word": st.none() | texts,
        "progress": st.none() | st.integers(0, 100),
        "message": st.none() | texts,
        "artifacts": st.lists(artifacts, max_size=3).map(tuple),
        "result": documents,
        "failure": st.none() | failures,
        "then": st.lists(st.dictionaries(texts, plain, min_size=1, max_size=3), max_size=3).map(tuple),
        "position": st.integers(0, 20),
        "root": st.none() | links,
        "parent": st.none() | links,
        "next": st.none() | links,
        "sent": st.lists(links, max_size=3).map(tuple),
        "trace": st.none() | st.just(TRACE),
    }
)


def _job(content: dict[str, Any], state: JobState = JobState.POLLING, due_at: float | None = 1.5) -> Job:
    return Job(
        id="job-1",
        provider="alpha",
        workflow="alpha.make",
        state=state,
        created_at=1.25,
        deadline_at=3600.125,
        digest="d" * 64,
        due_at=due_at,
        **content,
    )


def _hash(job: Job) -> dict[str, str]:
    return {"state": job.state.value, "seq": str(job.seq), "digest": job.digest, **codec.to_fields(job)}


FULL = {
    "tags": {"order": "4711"},
    "request": {"name": "master", "rows": [1, 2.5, None]},
    "intent": {"identifier": "i-1"},
    "receipt": {"remote_id": "r-1"},
    "submitted_at": 12.345,
    "updated_at": 23.456,
    "polls": 3,
    "attempts": 2,
    "word": "minting",
    "progress": 40,
    "message": "in the queue — läuft",
    "artifacts": (
        Artifact("a.txt", "/a", 10, 2, "0" * 64, "seed", "file:///a", 10, "0" * 64, DigestRule.HMAC),
        Artifact("b.txt", verification=Verification.VERIFIED),
    ),
    "result": {"token": "t-1"},
    "failure": Failure("busy", "HTTP 503", "wait"),
    "wish": Wish.PAUSE,
    "then": ({"workflow": "beta.make", "kwargs": {"hash": {"$from": "result.token"}}}, {"task": "billing.paid"}),
    "position": 2,
    "root": "job-0",
    "parent": "job-0.then.1",
    "next": "job-0.then.3",
    "sent": ("billing.opened",),
    "trace": TRACE,
}


def test_every_field_is_covered_here() -> None:
    """A field that is added to the record or to an artifact must be added to these tests."""
    fixed = {"id", "provider", "workflow", "state", "created_at", "deadline_at", "seq", "digest", "due_at"}
    assert {field.name for field in fields(Job)} == fixed | set(FULL)
    empty = _job({})
    assert all(getattr(_job(FULL), name) != getattr(empty, name) for name in FULL)
    assert set(asdict(FULL["artifacts"][0])) == {field.name for field in fields(Artifact)}  # type: ignore[index]


@given(content=contents, state=st.sampled_from(JobState), seq=st.integers(1, 2**53))
@BOUNDED
def test_any_job_survives_its_stored_form(content: dict[str, Any], state: JobState, seq: int) -> None:
    """What was written is read back, whatever it holds."""
    job = replace(_job(content, state, None if state in TERMINAL else 7.25), seq=seq)
    stored = _hash(job)
    assert codec.from_fields(job.id, stored, job.due_at) == job
    for name, text in stored.items():
        assert text, f"{name} is stored although it is empty"
        text.encode()


@given(before=contents, after=contents)
@BOUNDED
def test_a_move_changes_only_what_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The fields that a move sets and drops turn the one stored form into the other."""
    move = Move(_job(before), _job(after), news=True)
    changed, dropped = codec.changed_fields(move)
    stored = _hash(move.before)
    assert not any(stored.get(name) == value for name, value in changed.items())
    for name in dropped:
        del stored[name]
    assert stored | changed == _hash(move.after)
    assert codec.changed_fields(Move(move.before, move.before, news=False)) == ({}, [])


@given(content=contents, state=st.sampled_from(JobState))
@BOUNDED
def test_an_event_never_holds_the_body(content: dict[str, Any], state: JobState) -> None:
    """What is told of a job has neither its request nor its intent, and can be encoded."""
    link = {"workflow": "beta.make", "kwargs": {"name": "a very personal name"}}
    secret = {"request": link["kwargs"], "intent": {"key": "a very secret intent"}, "then": (link,)}
    data = codec.event_data(_job(content | secret, state, None if state in TERMINAL else 1.0))
    assert "a very" not in data
    data.encode()


def test_all_fields_through_the_ledger(ledger: Ledger) -> None:
    """Accepted with everything set, a job is read back the same in every way it can be read."""
    job = _job(FULL, due_at=1_790_000_000.5)
    ledger.accept(job)
    assert ledger.get("job-1") == replace(job, seq=1)
    assert ledger.jobs("alpha") == [replace(job, seq=1)]
    (begun,) = ledger.begin("alpha", [("job-1", None)], [JobState.POLLING], 30.0)
    assert begun == replace(job, seq=2, due_at=begun.due_at)


def test_all_fields_set_and_dropped_by_moves(ledger: Ledger, clock: ManualClock) -> None:
    """One move fills every field, the next empties them again."""
    now = clock.now()
    bare = replace(_job({"updated_at": now}), due_at=now)
    ledger.accept(bare)
    full = {**FULL, "updated_at": now}
    (begun,) = ledger.begin("alpha", [("job-1", None)], [JobState.POLLING], 30.0)
    (filled,) = ledger.write([Move(begun, replace(begun, **full, seq=3), news=True)])  # type: ignore[arg-type]
    assert filled == ledger.get("job-1") == replace(begun, **full, seq=3)  # type: ignore[arg-type]
    assert filled is not None
    bare_again = replace(bare, seq=4, due_at=filled.due_at)
    (emptied,) = ledger.write([Move(filled, bare_again, news=True)])
    assert emptied == ledger.get("job-1") == bare_again


def test_text_that_no_encoding_takes(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """A lone surrogate in a provider's answer must not keep a whole bundle from being written."""
    jobs = [begun("a", state=JobState.POLLING), begun("b", state=JobState.POLLING)]
    odd = {"word": "\ud800", "message": "\udfff", "receipt": {"\ud800": "\udfff"}}
    written = ledger.write([job.stay(now=clock.now(), due_at=clock.now(), **odd) for job in jobs])
    assert all(written)
    assert ledger.get("a").word == "\ud800"
    assert ledger.events("alpha", "a")[-1].data["message"] == "\udfff"


@pytest.mark.parametrize("version", [RECORD_VERSION + 1, RECORD_VERSION + 100])
def test_a_newer_record_is_refused(redis_client: redis.Redis, clock: ManualClock, version: int) -> None:
    """On a real server: a worker of an older version says so instead of guessing, and names job and versions."""
    ledger = Ledger(redis_client, clock=clock)
    ledger.accept(replace(_job(FULL), due_at=clock.now()))
    key = "settle:{alpha}:job:job-1"
    text = str(redis_client.hget(key, "doc"))
    redis_client.hset(key, "doc", text.replace(f'"v":{RECORD_VERSION}', f'"v":{version}'))
    with pytest.raises(SettleError, match=f"job-1.*version {version}.*up to {RECORD_VERSION}"):
        ledger.get("job-1")
    with pytest.raises(SettleError, match="version"):
        ledger.jobs("alpha")
    redis_client.hset(key, "doc", text)
    assert ledger.get("job-1").tags == {"order": "4711"}


def test_a_newer_record_is_refused_by_the_codec() -> None:
    """Both ledgers read through the same gate."""
    stored = _hash(_job({}))
    stored["doc"] = stored["doc"].replace('"v":1', '"v":3')
    with pytest.raises(SettleError, match="version 3"):
        codec.from_fields("job-1", stored)


def test_only_a_record_with_links_is_kept_from_older_workers() -> None:
    """They would end its chain without a word. All others they may go on with, as before."""
    assert '"v":2' in _hash(_job({"then": FULL["then"]}))["doc"]
    assert '"v":1' in _hash(_job({**FULL, "then": ()}))["doc"]


def test_a_record_of_the_first_version_is_read(clock: ManualClock) -> None:
    """As it was written before there were links, byte for byte."""
    stored = {
        "state": "polling",
        "seq": "4",
        "digest": "d" * 64,
        "doc": '{"v":1,"provider":"alpha","workflow":"alpha.make","created":1.25,"deadline":3600.125,"tags":{"a":"b"}}',
        "updated": "23456",
        "polls": "3",
        "submitted": "12345",
        "receipt": '{"remote_id":"r-1"}',
        "seen": '{"word":"minting","progress":40}',
    }
    job = codec.from_fields("job-1", stored, 7.5)
    assert (job.then, job.root, job.parent, job.next, job.position) == ((), None, None, None, 0)
    assert (job.receipt, job.progress, job.submitted_at) == ({"remote_id": "r-1"}, 40, 12.345)
    assert {**codec.to_fields(job), "state": "polling", "seq": "4", "digest": "d" * 64} == stored


def test_a_worker_that_knows_no_traces_leaves_them_alone() -> None:
    """It reads the record, makes its move, and the field stays: no other version of the record is needed."""
    stored = _hash(_job({"trace": TRACE}))
    assert stored["doc"].startswith('{"v":1,')
    older = codec.from_fields("job-1", {name: value for name, value in stored.items() if name != "trace"}, 1.5)
    changed, dropped = codec.changed_fields(older.stay(due_at=2.5, now=1.0, polls=1))
    assert "trace" not in changed
    assert "trace" not in dropped
