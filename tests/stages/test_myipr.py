"""A certificate's whole way: the real client, the simulated API over HTTP, real files, hours skipped."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from config import runtime as shared
from config.settings import made_of
from jobs import codec
from jobs.clock import ManualClock
from jobs.ledger import Ledger
from jobs.states import JobState, Wish
from simulator import DEFAULT_KEYS, Running, running
from tasks import measure as measuring
from tasks.backlog import FILES_QUEUE
from tasks.onward import AT_ONCE
from workflows.command.control import cancelling, pausing, replaying, resuming

from .conftest import Script, Stage

CONTENT = b"the work itself, " * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()
FILE = "unique_tokens/order-1/tokens.txt"
STORED = {"category": "Legal", "file": FILE}


@pytest.fixture
def clock() -> ManualClock:
    """One clock for the stages and the simulator."""
    return ManualClock()


@pytest.fixture
def sim(clock: ManualClock) -> Iterator[Running]:
    """The simulated API."""
    with running(now=clock.now, seed=5) as simulator:
        yield simulator


@pytest.fixture
def stage(app: Celery, redis_client: redis.Redis, sim: Running, clock: ManualClock, tmp_path: Path) -> Iterator[Stage]:
    """The stages with the real client."""
    own = {"base_url": sim.base_urls["myipr"], "api_key": DEFAULT_KEYS["myipr"]}
    settings = made_of(myipr=own, storage_url=(tmp_path / "store").as_uri(), redis_url="redis://nowhere")
    run = shared.Runtime(settings, ledger=Ledger(redis_client, clock=clock), clock=clock)
    app.set_current()
    shared.use(run)
    yield Stage(app, run, clock, Script())
    run.close()
    shared.use(None)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """An artifact of a former job."""
    path = tmp_path / "store" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def accepted(sim: Running) -> int:
    """How many certificates were made."""
    return sum(job.accepted for job in sim.account()["myipr"].jobs.values())


def everything_of(stage: Stage, job_id: str = "j-1") -> str:
    """All that is kept of a job: its record with every field, and its events."""
    return f"{codec.to_fields(stage.job(job_id))} {stage.run.ledger.events('myipr', job_id)}"


# --- a stored file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["path", "address"])
def test_a_stored_file_is_hashed_and_certified(stage: Stage, sim: Running, stored: Path, named: str) -> None:
    """By the worker, before the submission; name, size and category are computed, and the PDF is stored."""
    stage.trigger(category="Legal", file=FILE if named == "path" else stage.run.storage.uri(str(stored)))
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED, job.failure
    assert job.result is not None
    assert job.result["hash"] == HASH
    assert job.intent is not None
    assert job.intent["name"].startswith(f"settle-{HASH[:16]}-")
    (artifact,) = job.artifacts
    assert b"".join(stage.run.storage.chunks(artifact.uri or "")).startswith(b"%PDF")
    assert accepted(sim) == 1
    assert stage.history() == ["accepted", "submitting", "polling", "fetching", "verifying", "emitting", "succeeded"]


def test_the_same_trigger_is_the_same_job_after_the_file_was_hashed(stage: Stage, sim: Running, stored: Path) -> None:
    """What took the file's place does not count as another request."""
    stage.trigger(**STORED)
    first = stage.job()
    stage.until(lambda job: job.state is not JobState.ACCEPTED)
    stage.trigger(**STORED)
    assert stage.job().digest == first.digest
    assert stage.finish().state is JobState.SUCCEEDED
    assert accepted(sim) == 1


def test_a_file_that_changes_after_it_was_hashed_changes_nothing(stage: Stage, sim: Running, stored: Path) -> None:
    """The job is about the content that was there; a lost answer is looked for with the same hash and name."""
    sim.fault("myipr", "reset_after", operation="create", times=1)
    stage.trigger(**STORED)
    stage.until(lambda job: job.state is JobState.IN_DOUBT)
    stored.write_bytes(b"other content")
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.result is not None
    assert job.result["hash"] == HASH
    assert accepted(sim) == 1


def test_a_large_file_is_hashed_in_little_memory_and_holds_its_lease(
    stage: Stage, sim: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 MB in 8, with the lease renewed as the pieces pass: nobody else begins it although it takes ten leases."""
    path = tmp_path / "store" / "large"
    path.parent.mkdir()
    piece = os.urandom(1024 * 1024)
    with path.open("wb") as out:
        for _ in range(64):
            out.write(piece)
    real = stage.run.storage.chunks
    renewals: list[bool] = []
    renew = stage.run.ledger.renew

    def slow(uri: str) -> Iterator[bytes]:
        for chunk in real(uri):
            stage.clock.advance(stage.run.settings.lease * 10 / 64)
            yield chunk

    def counted(*args: Any) -> bool:
        renewals.append(renew(*args))
        return renewals[-1]

    monkeypatch.setattr(stage.run.storage, "chunks", slow)
    monkeypatch.setattr(stage.run.ledger, "renew", counted)
    stage.trigger(category="Legal", file="large")
    tracemalloc.start()
    try:
        stage.tick()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    job = stage.job()
    assert job.request is not None
    assert job.request["hash"] == hashlib.sha256(piece * 64).hexdigest()
    assert job.request["size_bytes"] == 64 * 1024 * 1024
    assert peak < 8 * 1024 * 1024
    assert len(renewals) > 15
    assert all(renewals)


def test_a_worker_that_lost_its_claim_stops(
    stage: Stage, sim: Running, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while it is hashed: nothing is written over that, and nothing is sent."""
    seen: list[int] = []

    def interrupted(_: str) -> Iterator[bytes]:
        for number in range(100):
            if number == 10:
                held = stage.job()
                assert stage.run.ledger.write([cancelling(held, stage.clock.now())])[0] is not None
            stage.clock.advance(stage.run.settings.lease / 2)
            seen.append(number)
            yield b"x" * 1000

    monkeypatch.setattr(stage.run.storage, "chunks", interrupted)
    stage.trigger(**STORED)
    stage.tick()
    assert stage.job().wish is Wish.CANCEL
    assert stage.job().request == STORED
    assert len(seen) < 15
    assert stage.finish().state is JobState.CANCELLED
    assert accepted(sim) == 0


# --- messages that are lost, doubled, late -------------------------------------------------------------------------


def test_a_lost_message_costs_a_lease(
    stage: Stage, sim: Running, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files' workers were away, or one died with the message: the clock sends it again."""
    monkeypatch.setattr(measuring, "begin", lambda *_: [])
    stage.trigger(**STORED)
    started = stage.clock.now()
    stage.tick()
    assert stage.job().due_at == pytest.approx(started + stage.run.settings.lease)
    assert stage.job().message == "waits for its file to be hashed"
    monkeypatch.undo()
    shared.use(stage.run)
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert accepted(sim) == 1


def test_a_worker_that_dies_while_it_hashes_costs_a_lease(
    stage: Stage, sim: Running, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had begun, so nobody else begins before its lease is over; then it is hashed anew."""

    def dying(_: str) -> Iterator[bytes]:
        yield CONTENT[:100]
        raise RuntimeError("died")

    monkeypatch.setattr(stage.run.storage, "chunks", dying)
    stage.trigger(**STORED)
    started = stage.clock.now()
    stage.tick()
    monkeypatch.undo()
    shared.use(stage.run)
    assert measuring.measure("j-1") == "nothing to do"
    assert stage.job().due_at == pytest.approx(started + stage.run.settings.lease)
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.result is not None
    assert job.result["hash"] == HASH
    assert accepted(sim) == 1


def test_a_long_queue_gets_no_further_messages(
    stage: Stage, sim: Running, stored: Path, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lease would add a copy for each waiting job; the jobs wait in the ledger instead."""
    begun: list[Any] = []
    real = measuring.begin
    monkeypatch.setattr(measuring, "begin", lambda *each: begun.append(each) or real(*each))
    limits = stage.run.settings.claim_limits("myipr")
    with app.connection_for_write() as connection, connection.SimpleQueue(FILES_QUEUE) as queue:
        try:
            for number in range(limits.bundles * limits.bundle_size // AT_ONCE):
                queue.put(number)
            stage.trigger(**STORED)
            for _ in range(3):
                stage.tick()
                stage.clock.advance(stage.run.settings.lease + 0.001)
            assert begun == []
            assert stage.job().message == "waits for its file to be hashed"
            queue.get().ack()
            assert stage.finish().state is JobState.SUCCEEDED
        finally:
            queue.clear()
    assert len(begun) == 1
    assert accepted(sim) == 1


def test_a_late_message_is_still_good(stage: Stage, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the queue is, whichever message comes first does the work, and the others none."""
    with monkeypatch.context() as queue:
        queue.setattr(measuring, "begin", lambda *_: [])
        stage.trigger(**STORED)
        for _ in range(5):
            stage.tick()
            stage.clock.advance(stage.run.settings.lease + 0.001)
        stage.tick()  # claimed and handed over a sixth time; nobody holds it
    assert measuring.measure("j-1") == "accepted"
    assert stage.job().request == {"category": "Legal", "hash": HASH, "size_bytes": len(CONTENT)}
    assert stage.job().message is None
    seq = stage.job().seq
    for _ in range(5):
        assert measuring.measure("j-1") == "nothing to do"
    assert stage.job().seq == seq


def test_a_message_leaves_a_job_that_waits_for_something_else_alone(stage: Stage, sim: Running, stored: Path) -> None:
    """Paused by a person, under way already, finished, or unknown."""
    assert measuring.measure("unknown") == "nothing to do"
    stage.trigger(**STORED)
    paused = stage.run.ledger.write([pausing(stage.job(), stage.clock.now())])[0]
    assert paused is not None
    assert measuring.measure("j-1") == "nothing to do"
    assert stage.job() == paused
    assert stage.run.ledger.write([resuming(stage.run, None)(paused, stage.clock.now())])[0] is not None
    assert stage.finish().state is JobState.SUCCEEDED
    assert measuring.measure("j-1") == "nothing to do"
    assert accepted(sim) == 1


def test_the_others_of_a_bundle_do_not_wait_for_a_file(stage: Stage, sim: Running, stored: Path) -> None:
    """One bundle: those with a hash are sent at once, the one with a file a tick later."""
    stage.trigger("with-file", **STORED)
    for number in range(3):
        stage.trigger(f"j-{number}", category="Legal", hash=f"{number:064x}", size_bytes=5000)
    stage.tick()
    assert {stage.job(f"j-{number}").state for number in range(3)} == {JobState.POLLING}
    assert stage.job("with-file").state is JobState.ACCEPTED
    stage.tick()
    assert stage.job("with-file").state is JobState.POLLING
    assert accepted(sim) == 4


# --- files that cannot be hashed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named", ["../secret", "/etc/hostname", "file:///etc/hostname", "https://elsewhere.example/x", "s3://bucket/x"]
)
def test_a_file_outside_the_storage_is_refused(stage: Stage, sim: Running, named: str) -> None:
    """At once, with the field named, its value not quoted, and nothing sent."""
    stage.trigger(category="Legal", file=named)
    job = stage.finish()
    assert (job.state, job.failure and job.failure.kind) == (JobState.FAILED, "invalid")
    assert job.failure is not None
    assert job.failure.message.startswith("file: ")
    assert job.message is None
    assert named not in everything_of(stage)
    assert job.request is None
    assert sim.account()["myipr"].requests == {}


def test_an_empty_file_is_refused(stage: Stage, sim: Running, stored: Path) -> None:
    """All empty files have one hash."""
    stored.write_bytes(b"")
    stage.trigger(**STORED)
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "invalid")
    assert "empty" in job.failure.message
    assert sim.account()["myipr"].requests == {}


def test_a_file_that_is_not_there_yet_is_looked_for_again(stage: Stage, sim: Running, tmp_path: Path) -> None:
    """A job that writes it may be about to end."""
    stage.trigger(**STORED)
    stage.tick()
    job = stage.job()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.ACCEPTED, "no_file")
    (tmp_path / "store" / FILE).parent.mkdir(parents=True)
    (tmp_path / "store" / FILE).write_bytes(CONTENT)
    assert stage.finish().state is JobState.SUCCEEDED
    assert accepted(sim) == 1


def test_a_file_that_never_comes_fails_the_job_soon(stage: Stage, sim: Running) -> None:
    """After a few looks, not at the deadline."""
    start = stage.clock.now()
    stage.trigger(**STORED)
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "no_file")
    assert job.failure.remedy is not None
    assert "nothing was sent" in job.failure.remedy
    assert stage.clock.now() - start < 30
    assert sim.account()["myipr"].requests == {}


def test_a_storage_that_is_away_costs_time(
    stage: Stage, sim: Running, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten refusals and more; the reason is in the record, without a path."""
    real, refusals = stage.run.storage.chunks, iter(range(10))

    def away(uri: str) -> Iterator[bytes]:
        if next(refusals, None) is not None:
            raise OSError(5, "Input/output error", str(stored))
        return real(uri)

    monkeypatch.setattr(stage.run.storage, "chunks", away)
    stage.trigger(**STORED)
    job = stage.until(lambda job: job.attempts == 5)
    assert job.failure is not None
    assert (job.failure.kind, job.failure.message) == ("storage", "file: the storage refused: Input/output error")
    assert stage.finish().state is JobState.SUCCEEDED
    assert accepted(sim) == 1


@pytest.mark.parametrize("trouble", ["storage", "message"])
def test_the_deadline_ends_a_job_whose_file_cannot_be_hashed(
    stage: Stage, sim: Running, stored: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Nothing waits for ever, and nothing was sent."""

    def away(_: str) -> Iterator[bytes]:
        raise OSError(5, "Input/output error")

    if trouble == "storage":
        monkeypatch.setattr(stage.run.storage, "chunks", away)
    else:
        monkeypatch.setattr(measuring, "begin", lambda *_: [])
    start = stage.clock.now()
    stage.trigger(**STORED, deadline=300.0)
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.message) == (JobState.EXPIRED, "the deadline passed; nothing was sent")
    assert job.request == STORED  # `settle resume` goes on with it
    assert 300 <= stage.clock.now() - start < 301
    assert sim.account()["myipr"].requests == {}


# --- the category --------------------------------------------------------------------------------------------------


def test_an_unknown_category_fails_with_the_known_ones(stage: Stage, sim: Running) -> None:
    """And the caller's own word is kept nowhere."""
    stage.trigger(category="Private matter", hash=HASH, size_bytes=5000)
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "refused")
    assert "Art, Legal, Music" in job.failure.message
    assert "Private matter" not in everything_of(stage)
    assert accepted(sim) == 0


@pytest.mark.parametrize("kind", ["500", "reset", "rubbish", "503"])
def test_categories_that_cannot_be_read_leave_no_doubt(stage: Stage, sim: Running, kind: Any) -> None:
    """The job goes back to wait; it is sent once when the list is there."""
    sim.fault("myipr", kind, operation="categories", times=2)
    stage.trigger(category="Legal", hash=HASH, size_bytes=5000)
    assert stage.finish().state is JobState.SUCCEEDED
    assert "in_doubt" not in stage.history()
    assert accepted(sim) == 1


# --- the certificate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 403, 404])
def test_a_fetch_that_comes_late_asks_for_another_link(
    stage: Stage, sim: Running, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Three times a minute passes between link and fetch; the fourth time is in time. No link is kept anywhere."""
    sim.set_switches("myipr", certificate_dead_code=code)
    http = stage.run.provider("myipr").http
    real, links, meanwhile = http.download, [], []

    def late(link: str) -> Any:
        links.append(link)
        if len(links) <= 3:
            meanwhile.append(everything_of(stage))
            stage.clock.advance(60)
        return real(link)

    monkeypatch.setattr(http, "download", late)
    stage.trigger(category="Legal", hash=HASH, size_bytes=5000, deadline=7200.0)
    job = stage.until(lambda job: job.state is JobState.FETCHING and job.attempts == 2)
    assert job.failure is not None
    assert job.failure.kind == "unavailable"
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED, job.failure
    assert len(set(links)) == len(links) == 4
    kept = " ".join([*meanwhile, everything_of(stage)])
    for trace in (*links, "X-Amz", "/certificates/"):
        assert trace not in kept
    (artifact,) = job.artifacts
    assert artifact.link is None
    assert b"".join(stage.run.storage.chunks(artifact.uri or "")).startswith(b"%PDF")
    assert stage.run.ledger.paused_until("myipr") == 0


def test_a_certificate_that_is_made_later_is_waited_for(stage: Stage, sim: Running) -> None:
    """Completed, and the PDF five minutes after it."""
    sim.set_switches("myipr", certificate_delay_seconds=300, certificate_early_code=404)
    stage.trigger(category="Legal", hash=HASH, size_bytes=5000)
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED, job.failure


def test_a_replayed_certificate_has_another_link(stage: Stage, sim: Running) -> None:
    """Days later the PDF is fetched again, with a link of that moment."""
    sim.set_switches("myipr", certificate_dead_code=200, certificate_link_seconds=1e-9)
    stage.trigger(category="Legal", hash=HASH, size_bytes=5000)
    job = stage.finish()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert "no PDF" in job.failure.message
    sim.set_switches("myipr", certificate_dead_code=403, certificate_link_seconds=60)
    stage.clock.advance(3 * 86400)
    assert stage.run.ledger.write([replaying(stage.run)(stage.job(), stage.clock.now())])[0] is not None
    assert stage.finish().state is JobState.SUCCEEDED
    assert accepted(sim) == 1
