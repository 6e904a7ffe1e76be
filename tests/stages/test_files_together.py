"""Small files of many jobs are one message: together they cost little, and none pays for its neighbours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from celery import Task

from jobs.artifacts import Artifact
from jobs.record import Job
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.errors import LostAnswer
from tasks.onward import AT_ONCE, send_on
from tests.waiting import until

from .conftest import Stage

FILE = b"AAA\nBBB\nCCC"
MANY = [f"j-{number}" for number in range(10)]


def ready(size: int | None = len(FILE)) -> Observation:
    """A job is over, with one file of this promised length."""
    artifact = Artifact("tokens.txt", link="/data", size=size, sha256=hashlib.sha256(FILE).hexdigest())
    return Observation(Verdict.SUCCEEDED, word="completed", artifacts=(artifact,))


@contextmanager
def messages(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The jobs of each message that is sent to the stage of files, and of which stages those were."""
    sent: list[tuple[Any, ...]] = []
    names = ("settle.fetch", "settle.verify", "settle.emit")
    send = Task.apply_async

    def note(self: Task, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if self.name in names:
            sent.append((self.name, *(args or ())))
        return send(self, args, kwargs, **options)

    with monkeypatch.context() as noting:
        noting.setattr(type(stage.app.tasks["settle.fetch"]), "apply_async", note)
        yield sent


def together(sent: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The messages, each with its jobs in order."""
    return [(name, *sorted(job_ids)) for name, *job_ids in sent]


def triggered(stage: Stage, observation: Observation) -> None:
    """Ten jobs that were submitted and whose next look finds them over."""
    stage.script.says("observe", observation)
    stage.script.says("download", FILE)
    for job_id in MANY:
        stage.trigger(job_id)
    stage.tick()


def look(stage: Stage) -> None:
    """Poll all of them, as one bundle."""
    stage.clock.advance(60)
    stage.tick()


def test_small_files_of_a_bundle_are_one_message(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten jobs that are over at one look: one message fetches, verifies and finishes all."""
    triggered(stage, ready())
    with messages(stage, monkeypatch) as sent:
        look(stage)
    assert together(sent) == [("settle.fetch", *MANY)]
    assert {job_id: stage.job(job_id).state for job_id in MANY} == dict.fromkeys(MANY, JobState.SUCCEEDED)
    for job_id in MANY:
        (artifact,) = stage.job(job_id).artifacts
        assert b"".join(stage.run.storage.chunks(artifact.uri or "")) == FILE
        assert stage.history(job_id)[-4:] == ["fetching", "verifying", "emitting", "succeeded"]


@pytest.mark.parametrize("size", [None, 1024**2 + 1], ids=["unknown", "large"])
def test_a_file_that_may_be_large_comes_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    """Whoever takes it holds no other job with it."""
    triggered(stage, ready(size))
    with messages(stage, monkeypatch) as sent:
        look(stage)
    assert sorted(sent[: len(MANY)]) == [("settle.fetch", job_id) for job_id in MANY]


def test_a_message_is_no_longer_than_its_files_are_small(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they weigh no more than one small file may, and they are not too many."""

    def jobs(number: int, size: int) -> list[Job]:
        artifact = Artifact("tokens.txt", link="/data", size=size)
        first = stage.job("j-0").to(JobState.FETCHING, now=0.0, due_at=1.0, artifacts=(artifact,)).after
        return [first] * number

    triggered(stage, ready())
    most = stage.run.settings.small_files
    with messages(stage, monkeypatch) as sent:
        for number, size in ((AT_ONCE + 1, 1), (5, most // 2), (3, most)):
            send_on(stage.run, jobs(number, size))
    assert [len(job_ids) for _, *job_ids in sent] == [AT_ONCE, 1, 2, 2, 1, 1, 1, 1]


def test_a_file_that_is_larger_than_promised_goes_its_own_way(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours are finished at once; it fails by itself, after its tries."""
    triggered(stage, ready())
    stage.script.says("download", FILE + b"\nDDD", *[FILE] * 9, FILE + b"\nDDD")
    with messages(stage, monkeypatch) as sent:
        look(stage)
    assert together(sent) == [("settle.fetch", *MANY)]
    ends = [stage.job(job_id).state for job_id in MANY]
    assert sorted(ends) == [JobState.FETCHING, *[JobState.SUCCEEDED] * 9]
    odd = MANY[ends.index(JobState.FETCHING)]
    assert stage.finish(odd).state is JobState.FAILED


def test_an_outage_of_one_download_costs_that_job_alone(stage: Stage) -> None:
    """The others were answered, so the gate stays open."""
    triggered(stage, ready())
    stage.script.says("download", LostAnswer("cut"), FILE)
    look(stage)
    ends = [stage.job(job_id).state for job_id in MANY]
    assert sorted(ends) == [JobState.FETCHING, *[JobState.SUCCEEDED] * 9]
    assert stage.run.ledger.paused_until("myipr") == 0.0
    assert stage.finish(MANY[ends.index(JobState.FETCHING)]).state is JobState.SUCCEEDED


def test_nobody_waits_for_a_slow_neighbour(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One download begins to answer only when all other jobs of the message are finished."""
    triggered(stage, ready())
    others = set(MANY) - {"j-3"}
    plain = stage.script.download

    @asynccontextmanager
    async def slow(job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        if job.id == "j-3":
            await asyncio.to_thread(until, lambda: all(stage.job(job_id).finished for job_id in others), "the others")
        async with plain(job, artifact) as chunks:
            yield chunks

    monkeypatch.setattr(stage.script, "download", slow)
    look(stage)
    assert {stage.job(job_id).state for job_id in MANY} == {JobState.SUCCEEDED}


def test_a_message_that_comes_twice_does_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job of it has been moved on since."""
    triggered(stage, ready())
    with messages(stage, monkeypatch) as sent:
        look(stage)
    fetched = stage.script.count("download")
    ((name, *job_ids),) = sent
    done = stage.app.tasks[name].apply(args=tuple(job_ids))
    assert done.result == "nothing to do"
    assert stage.script.count("download") == fetched


def test_lost_messages_of_many_come_back_together(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the lease the clock publishes one message for all of them, with their claims."""
    triggered(stage, ready())
    with monkeypatch.context() as broken:
        broken.setattr("tasks.poll.send_on", lambda run, jobs: None)
        look(stage)
    assert {stage.job(job_id).state for job_id in MANY} == {JobState.FETCHING}
    stage.clock.advance(stage.run.settings.lease + 0.001)
    with messages(stage, monkeypatch) as sent:
        stage.tick()
    assert together(sent) == [("settle.fetch", *MANY)]
    assert {stage.job(job_id).state for job_id in MANY} == {JobState.SUCCEEDED}


def test_a_ledger_that_is_away_ends_all_downloads(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done cannot be written: no download goes on for a claim that nobody will use."""
    triggered(stage, ready())
    ended: list[str] = []
    plain = stage.script.download

    @asynccontextmanager
    async def endless(job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        if job.id == "j-3":
            try:
                await asyncio.sleep(20)  # much longer than the test
            finally:
                ended.append(job.id)
        async with plain(job, artifact) as chunks:
            yield chunks

    def away(*_: object) -> None:
        raise ConnectionError("the ledger is away")

    with monkeypatch.context() as broken:
        broken.setattr("tasks.poll.send_on", lambda run, jobs: None)
        look(stage)
    stage.clock.advance(stage.run.settings.lease + 0.001)
    monkeypatch.setattr(stage.script, "download", endless)
    monkeypatch.setattr("tasks.fetch.conclude", away)
    with pytest.raises(ConnectionError) as caught:
        stage.app.tasks["settle.fetch"].apply(args=MANY, throw=True)
    assert ended == ["j-3"]
    assert caught.tb is not None  # it still holds the frames, and with them what was under way
