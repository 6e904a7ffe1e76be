"""What the stages do when something goes wrong: nothing is lost, nothing is submitted twice."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts import Artifact
from jobs.errors import RecordTooNew, SettleError
from jobs.record import Job
from jobs.states import JobState, Wish
from providers.base import Located, Observation, Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    Deferred,
    LostAnswer,
    NotFound,
    NotSent,
    PermanentError,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
)
from tasks import submit as submitting

from .conftest import BODY, DONE, RUNNING, Stage

FILE = b"AAA\nBBB"
READY = Observation(
    Verdict.SUCCEEDED,
    word="completed",
    artifacts=(Artifact("tokens.txt", link="/data", size=7, lines=2, sha256=hashlib.sha256(FILE).hexdigest()),),
)


@pytest.mark.parametrize("error", [NotSent("no connection"), Deferred("HTTP 429"), Unauthorized("HTTP 401")])
def test_a_submission_that_was_not_carried_out_is_sent_again(stage: Stage, error: ProviderError) -> None:
    """It never left, or was turned away unread: the job waits and is sent again."""
    stage.script.says("submit", error, error, {"remote_id": "r-1"})
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 3
    assert stage.script.count("locate") == 0


@pytest.mark.parametrize("error", [LostAnswer("no answer"), Unavailable("HTTP 500"), BadAnswer("rubbish")])
def test_a_submission_in_doubt_is_asked_for_and_adopted(stage: Stage, error: ProviderError) -> None:
    """The answer was lost, the provider has the job: it is never told twice."""
    stage.script.says("submit", error)
    stage.script.says("locate", Located(), Located(receipt={"remote_id": "r-7"}))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert "in_doubt" in stage.history()
    assert stage.script.count("submit") == 1
    assert job.outcome()["remote_id"] == "r-7"


def test_a_submission_that_certainly_is_absent_is_sent_once_more(stage: Stage) -> None:
    """Only the provider's own word that it has nothing lets us send again."""
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-1"})
    stage.script.says("locate", Located(absent=True))
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 2
    assert stage.history().count("in_doubt") == 1


def test_a_submission_that_never_arrived_and_never_can_fails(stage: Stage) -> None:
    """The provider's own rules forbid sending it now: the caller is told, and nothing is sent again."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.script.says("locate", Located(), Located(gone="too old: sign it anew"))
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "never_arrived")
    assert stage.script.count("submit") == 1


def test_a_doubt_that_nobody_settles_expires(stage: Stage) -> None:
    """It is asked for ever more rarely, never sent again, and ends at the deadline with the outcome unknown."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.EXPIRED
    assert stage.script.count("submit") == 1
    assert 3 < stage.script.count("locate") < 50


def test_a_job_found_at_submitting_after_a_crash_is_asked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker died between intent and receipt: whether it sent is unknown, so the provider is asked."""

    async def dies(*_: Any) -> None:
        raise MemoryError

    real = submitting._send_all
    monkeypatch.setattr(submitting, "_send_all", dies)
    stage.trigger()
    stage.tick()
    monkeypatch.setattr(submitting, "_send_all", real)
    assert stage.job().state is JobState.SUBMITTING
    stage.script.says("submit", {"remote_id": "again"})
    stage.script.says("locate", Located(receipt={"remote_id": "r-3"}))
    job = stage.finish()
    assert job.outcome()["remote_id"] == "r-3"
    assert stage.script.count("submit") == 0


def test_a_refusal_fails_the_job_with_the_reason(stage: Stage) -> None:
    """A permanent no is the end, with the provider's scrubbed words."""
    stage.script.says("submit", Refused("HTTP 422: category_id unknown", status=422))
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "refused")
    assert "category_id unknown" in job.failure.message


@pytest.mark.parametrize(
    "error",
    [NotSent("x"), LostAnswer("x"), Unavailable("x"), BadAnswer("x"), Busy("x"), Unauthorized("x"), NotFound("x"),
     PermanentError("x"), KeyError("a defect of ours")],
)  # fmt: skip
def test_trouble_while_polling_costs_time_not_the_job(stage: Stage, error: Exception) -> None:
    """Whatever goes wrong in a poll, the job is looked at again."""
    stage.script.says("observe", RUNNING, *[error] * 5, DONE)
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert job.failure is None


def test_one_broken_job_does_not_stop_the_others_of_its_bundle(stage: Stage) -> None:
    """An exception nobody thought of concerns one job only."""
    for number in range(5):
        stage.trigger(f"j-{number}")
    stage.tick()
    stage.script.says("observe", RecursionError("deep"), DONE)
    stage.clock.advance(10)
    stage.tick()
    states = sorted(stage.job(f"j-{number}").state.value for number in range(5))
    assert states == ["polling", "succeeded", "succeeded", "succeeded", "succeeded"]


def test_retry_after_pauses_the_provider_for_all_jobs_and_no_other_provider(stage: Stage) -> None:
    """One answer with Retry-After closes that provider's gate for as long as it asked."""
    stage.trigger("j-1")
    stage.trigger("j-2")
    stage.tick()
    stage.script.says("observe", Busy("HTTP 429", retry_after=120.0), RUNNING)
    stage.clock.advance(5)
    stage.tick()
    polls = stage.script.count("observe")
    stage.clock.advance(60)
    stage.tick()
    assert stage.script.count("observe") == polls
    assert stage.run.ledger.paused_until("unique_tokens") == 0
    stage.clock.advance(61)
    stage.tick()
    assert stage.script.count("observe") > polls


def test_retry_after_is_heeded_before_the_bundle_is_through(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other workers stop at once, not when the slowest neighbour of that one answer has been heard."""
    for number in range(3):
        stage.trigger(f"j-{number}")
    stage.tick()
    closed: list[float] = []

    async def observe(job: Any) -> Observation:
        if job.id == "j-0":
            raise Busy("HTTP 429", retry_after=30.0)
        end = time.monotonic() + 10
        while not stage.run.ledger.paused_until("myipr") and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        closed.append(stage.run.ledger.paused_until("myipr"))
        return RUNNING

    monkeypatch.setattr(stage.script, "observe", observe)
    stage.clock.advance(5)
    now = stage.clock.now()
    stage.tick()
    assert closed == [now + 30.0] * 2
    assert stage.run.ledger.paused_until("myipr") == now + 30.0


@pytest.mark.parametrize("name", ["submit", "poll"])
def test_a_bundle_that_finds_the_gate_closed_goes_back(stage: Stage, name: str) -> None:
    """It was claimed before another worker heard `Retry-After`: nobody is called, and nothing is lost."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    if name == "poll":
        stage.until(lambda job: job.state is JobState.POLLING)
        stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    calls, before = list(stage.script.calls), stage.job()
    until = stage.run.ledger.pause("myipr", 50.0)
    stage.app.tasks[f"settle.{name}"].apply(args=("j-1",), kwargs={"seqs": [before.seq]})
    assert stage.script.calls == calls
    assert (stage.job().state, stage.job().due_at) == (before.state, until)
    stage.script.says("observe", DONE)
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_fetch_that_finds_the_gate_closed_goes_back(stage: Stage) -> None:
    """Also what comes by its chain, past the claim."""
    stage.script.says("observe", Busy("HTTP 503", retry_after=40.0), READY)
    stage.script.says("download", FILE)
    for name in ("j-1", "j-2"):
        stage.trigger(name)
    stage.tick()
    stage.clock.advance(5)
    stage.tick()  # one is turned away, the other one is ready, and its chain goes on at once
    states = sorted(stage.job(name).state for name in ("j-1", "j-2"))
    assert states == [JobState.FETCHING, JobState.POLLING]
    assert stage.script.count("download") == 0
    assert stage.finish("j-1").state is stage.finish("j-2").state is JobState.SUCCEEDED


def test_an_outage_is_probed_by_one_job_at_a_time(stage: Stage) -> None:
    """Forty jobs meet an outage: then one call for each pause, each longer, until one is answered."""
    for number in range(40):
        stage.trigger(f"j-{number}")
    stage.tick()
    stage.script.says("observe", *[LostAnswer("no answer")] * 45, RUNNING)
    stage.clock.advance(5)
    stage.tick()
    assert stage.script.count("observe") == 40
    calls, pauses = [], []
    stage.clock.advance(60)  # all are due again, and the first pause is over
    for _ in range(5):
        before = stage.script.count("observe")
        for _ in range(3):
            stage.tick()
        calls.append(stage.script.count("observe") - before)
        opens = stage.run.ledger.paused_until("myipr")
        pauses.append(round(opens - stage.clock.now()))
        stage.clock.advance(opens - stage.clock.now())
    assert (calls, pauses) == ([1] * 5, [2, 4, 8, 16, 32])
    before = stage.script.count("observe")
    stage.tick()
    stage.tick()
    assert stage.script.count("observe") - before > 30


def test_a_doubt_is_a_probe_too(stage: Stage) -> None:
    """The only job there is is in doubt: asking for it tells that the provider is back."""
    stage.script.says("submit", LostAnswer("no answer"))
    stage.script.says("locate", LostAnswer("no answer"), Located(receipt={"remote_id": "r-7"}))
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    assert stage.script.count("locate") == 2
    for number in range(5):
        stage.trigger(f"k-{number}")
    stage.script.says("submit", {"remote_id": "r-8"})
    stage.tick()
    assert stage.script.count("submit") == 2, "the look-up does not tell that submissions are answered again"
    for number in range(5):
        stage.until(lambda job: job.state is JobState.POLLING, f"k-{number}")
    assert stage.script.count("submit") == 6


def test_a_cancelled_probe_makes_way(stage: Stage) -> None:
    """It asks nobody, so the next job is the probe, at once."""
    stage.trigger("j-1")
    stage.trigger("j-2")
    job = stage.job("j-1")
    stage.run.ledger.write([job.stay(now=stage.clock.now(), due_at=stage.clock.now() - 1, wish=Wish.CANCEL)])
    stage.clock.advance(stage.run.ledger.pause("myipr") - stage.clock.now())
    stage.tick()
    stage.tick()
    assert stage.job("j-1").state is JobState.CANCELLED
    assert stage.job("j-2").state is JobState.POLLING


def test_a_wrong_key_stops_the_provider_longer_and_longer(stage: Stage) -> None:
    """401 pauses the provider, each time longer, and fails no job."""
    stage.script.says("observe", Unauthorized("HTTP 401"))
    stage.trigger()
    stage.tick()
    pauses = []
    for _ in range(5):
        stage.clock.advance(max(stage.job().due_at or 0, stage.run.ledger.paused_until("myipr")) - stage.clock.now())
        stage.tick()
        pauses.append(stage.run.ledger.paused_until("myipr") - stage.clock.now())
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert stage.job().state is JobState.POLLING


def test_a_doubled_poll_message_does_nothing(stage: Stage) -> None:
    """The second copy finds another seq."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    seq = stage.job().seq
    poll = stage.app.tasks["settle.poll"]
    poll.apply(args=("j-1",), kwargs={"seqs": [seq]})
    poll.apply(args=("j-1",), kwargs={"seqs": [seq]})
    assert stage.script.count("observe") == 1


def test_a_doubled_submit_message_sends_once(stage: Stage) -> None:
    """Two copies of one claim: one POST."""
    stage.trigger()
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    seq = stage.job().seq
    for _ in range(2):
        stage.app.tasks["settle.submit"].apply(args=("j-1",), kwargs={"seqs": [seq]})
    assert stage.script.count("submit") == 1


def test_a_record_that_cannot_be_read_holds_up_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer version wrote it: it is left to its lease, and what was claimed with it goes on."""
    stage.script.says("observe", READY)
    stage.script.says("download", Unavailable("HTTP 500"))
    stage.trigger("newer")
    stage.until(lambda job: job.state is JobState.FETCHING, "newer")
    stage.trigger("other")
    get = stage.run.ledger.get

    def reading(job_id: str) -> Job:
        if job_id == "newer":
            raise SettleError("its record has version 99")
        return get(job_id)

    monkeypatch.setattr(stage.run.ledger, "get", reading)
    stage.clock.advance(120)
    stage.tick()
    assert stage.job("other").state is JobState.POLLING


@pytest.mark.parametrize("name", ["submit", "poll", "fetch", "verify", "emit"])
def test_every_stage_run_after_the_end_does_nothing(stage: Stage, name: str) -> None:
    """Each stage begins with "already done?"."""
    stage.script.says("observe", READY)
    stage.script.says("download", FILE)
    stage.trigger()
    before = stage.finish()
    calls = len(stage.script.calls)
    stage.app.tasks[f"settle.{name}"].apply(args=("j-1",))
    assert stage.job() == before
    assert len(stage.script.calls) == calls


def test_a_lost_message_only_costs_the_lease(stage: Stage) -> None:
    """The clock claimed, the message vanished: after the lease the job is claimed again."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.state is JobState.POLLING)
    stage.clock.advance(60)
    stage.run.ledger.claim("myipr", stage.run.settings.claim_limits("myipr"))
    stage.tick()
    assert stage.script.count("observe") == 0
    stage.clock.advance(stage.run.settings.lease)
    stage.tick()
    assert stage.script.count("observe") == 1


def test_a_lost_chain_is_brought_back_at_its_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the chain vanished with its broker: the ledger publishes it again."""
    lost: list[str] = []
    with monkeypatch.context() as broken:
        broken.setattr("tasks.poll.send_on", lambda run, jobs: lost.extend(job.id for job in jobs))
        stage.script.says("observe", READY)
        stage.script.says("download", FILE)
        stage.trigger()
        stage.until(lambda job: job.state is JobState.FETCHING)
    assert lost == ["j-1"]
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_fetch_that_breaks_is_tried_again(stage: Stage) -> None:
    """An outage in the middle of a download costs time only."""
    stage.script.says("observe", READY)
    stage.script.says("download", LostAnswer("cut"), Unavailable("HTTP 500"), FILE[:3], FILE)
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("download") == 4


def test_a_full_disk_is_waited_out(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No space left: the job waits with the reason, nothing half-written stays, and goes on when there is space."""
    stage.script.says("observe", READY)
    stage.script.says("download", FILE)
    real = stage.run.storage.writing

    @contextmanager
    def full(path: str, mark: str) -> Any:
        with real(path, mark) as out:

            class _Full:
                def write(self, data: bytes) -> int:
                    raise OSError(errno.ENOSPC, "No space left on device")

            assert out
            yield _Full()

    monkeypatch.setattr(stage.run.storage, "writing", full)
    stage.trigger()
    job = stage.until(lambda job: job.attempts >= 3)
    assert job.state is JobState.FETCHING
    assert job.failure is not None
    assert "No space left" in job.failure.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(stage.run.storage, "writing", real)
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_fetch_that_never_works_fails_at_the_deadline(stage: Stage) -> None:
    """The provider's job succeeded, its file never came: failed, with the reason and what to do."""
    stage.script.says("observe", READY)
    stage.script.says("download", Unavailable("HTTP 500"))
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.remedy


def test_a_bad_body_ends_at_once_and_is_never_sent(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The field is named, the value quoted nowhere."""
    with caplog.at_level(logging.DEBUG):
        stage.trigger(name="a", category_id="10", hash="private-value", size="12")
    job = stage.job()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.message.startswith("hash: ")
    assert "private-value" not in caplog.text + str(job)
    stage.tick()
    assert stage.script.calls == []


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"deadline": -1}, "deadline"),
        ({"tags": {"a": 1}}, "tags.a"),
        ({"colour": "x"}, "colour"),
        ({"tags": "x"}, "tags"),
    ],
)
def test_bad_options_are_named(stage: Stage, extra: dict[str, Any], named: str) -> None:
    """Options and unknown arguments are checked like the body."""
    stage.trigger(**{**BODY, **extra})
    failure = stage.job().failure
    assert failure is not None
    assert named in failure.message


def test_the_same_trigger_twice_is_one_job(stage: Stage) -> None:
    """The id is the idempotency key."""
    stage.trigger()
    first = stage.job()
    stage.trigger()
    assert stage.job() == first
    stage.finish()
    stage.trigger()
    assert stage.script.count("submit") == 1


def test_the_same_id_with_another_body_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The first job stays as it is, and the refusal is logged."""
    stage.trigger()
    first = stage.job()
    with caplog.at_level(logging.ERROR):
        stage.trigger(**{**BODY, "size": "13"})
    assert stage.job() == first
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_the_same_id_at_another_provider_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """An id belongs to one job of one provider."""
    stage.trigger()
    with caplog.at_level(logging.ERROR):
        stage.trigger(workflow="lettrlabs.delete", id=7)
    assert stage.job().provider == "myipr"
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_a_job_that_needs_one_of_a_newer_version_waits_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of that version may read it; the rest of the bundle goes on."""
    known = stage.script.intent

    def intent(request: Any, job_id: str) -> dict[str, Any]:
        if job_id == "j-1":
            raise RecordTooNew("job j-0: its record has version 9")
        return known(request, job_id)

    with monkeypatch.context() as patched:
        patched.setattr(stage.script, "intent", intent)
        for job_id in ("j-1", "j-2"):
            stage.trigger(job_id)
        stage.until(lambda job: job.finished, "j-2")
        job = stage.job("j-1")
        assert (job.state, job.failure and job.failure.kind) == (JobState.ACCEPTED, "record_too_new")
    assert stage.finish().state is JobState.SUCCEEDED


def test_a_provider_that_is_not_configured_refuses_its_jobs(stage: Stage) -> None:
    """The message names the missing variables; the other providers work."""
    stage.trigger("d-1", workflow="lettrlabs.delete", id=7)
    failure = stage.job("d-1").failure
    assert failure is not None
    assert "SETTLE_LETTRLABS__BASE_URL" in failure.message
    assert "SETTLE_LETTRLABS__API_KEY" in failure.message
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED


def test_an_id_that_cannot_stand_in_a_key_is_refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is recorded under it, and the worker lives."""
    with caplog.at_level(logging.ERROR):
        stage.trigger("a b\n")
    assert any(record.message == "trigger_refused" for record in caplog.records)


def test_a_refusal_says_what_the_field_is_for(stage: Stage) -> None:
    """The field, the rule it breaks, and its meaning, also inside a list of models."""
    stage.trigger(**{**BODY, "hash": "x", "deadline": -1})
    failure = stage.job().failure
    assert failure is not None
    assert "the SHA-256 of the file, as 64 hexadecimal digits" in failure.message
    assert "seconds from the trigger" in failure.message
    stage.trigger("t-1", workflow="unique_tokens.produce", alphabet="A", digits=5, size=1000, payment={"id": "a"})
    failure = stage.job("t-1").failure
    assert failure is not None
    assert "payment.ident: Field required (payment intent)" in failure.message


def test_an_intent_is_fresh_when_its_request_leaves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a neighbour in doubt takes nearly a lease; the other job's own lease begins after that."""
    stage.script.says("submit", LostAnswer("no answer"), {"remote_id": "r-2"})
    stage.trigger("j-1")
    stage.until(lambda job: job.state is JobState.IN_DOUBT)
    stage.run.ledger.open_gate("myipr")  # or only one of them would be claimed
    stage.trigger("j-2")

    async def slow(request: object, intent: object) -> Located:
        stage.clock.advance(stage.run.settings.lease * 0.75)
        return Located()

    monkeypatch.setattr(stage.script, "locate", slow)
    stage.clock.advance((stage.job("j-1").due_at or 0) - stage.clock.now())
    before = stage.clock.now()
    due: list[float] = []
    real = submitting._send_all

    async def watched(run: Any, jobs: Any, announcer: Any) -> Any:
        due.extend(job.due_at - run.clock.now() for job in jobs)
        return await real(run, jobs, announcer)

    monkeypatch.setattr(submitting, "_send_all", watched)
    stage.tick()
    assert stage.clock.now() > before
    assert due == [pytest.approx(stage.run.settings.lease)]
    assert stage.job("j-2").state is JobState.POLLING


def test_a_process_that_stood_still_sends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen between intent and POST for longer than its lease: somebody else may be sending, so it does not."""
    stage.trigger()
    real = submitting._send_all

    async def frozen(run: Any, jobs: Any, announcer: Any) -> Any:
        stage.clock.advance(stage.run.settings.lease + 1)
        return await real(run, jobs, announcer)

    monkeypatch.setattr(submitting, "_send_all", frozen)
    stage.tick()
    assert stage.script.count("submit") == 0
    monkeypatch.setattr(submitting, "_send_all", real)
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("submit") == 1
