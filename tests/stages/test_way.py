"""The way of a job through the stages, hours skipped."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts import Artifact, DigestRule, Verification
from jobs.policy import PollPolicy
from jobs.states import JobState
from providers.base import Observation, Verdict
from tasks.poll import after_poll

from .conftest import DONE, RUNNING, Stage

FILE = b"AAA\nBBB\nCCC"


def _ready(**promised: Any) -> Observation:
    found = {"size": len(FILE), "lines": 3, "sha256": hashlib.sha256(FILE).hexdigest(), **promised}
    return Observation(Verdict.SUCCEEDED, word="completed", artifacts=(Artifact("tokens.txt", link="/data", **found),))


def test_a_job_without_files_is_finished_by_its_poll(stage: Stage) -> None:
    """Submit, poll with countdowns, done: outcome and event by the poll's own write."""
    stage.script.says("observe", RUNNING, RUNNING, DONE)
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.SUCCEEDED
    assert stage.history() == ["accepted", "submitting", "polling", "succeeded"]
    assert (job.polls, stage.script.count("submit")) == (3, 1)
    assert job.outcome()["result"] == {"version_id": "v-1"}


def test_a_job_with_a_file_goes_on_with_its_chain(stage: Stage) -> None:
    """Fetch, verify and emit follow; the file is stored as it was promised."""
    stage.script.says("observe", _ready())
    stage.script.says("download", FILE)
    stage.trigger()
    job = stage.finish()
    assert stage.history()[2:] == ["polling", "fetching", "verifying", "emitting", "succeeded"]
    (artifact,) = job.artifacts
    assert artifact.verification is Verification.VERIFIED
    assert artifact.rule is DigestRule.PLAIN
    assert b"".join(stage.run.storage.chunks(artifact.uri or "")) == FILE


def test_the_body_is_forgotten_once_the_provider_has_it(stage: Stage) -> None:
    """What may be personal lies in the ledger only until it is sent."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    assert stage.job().request is not None
    assert stage.until(lambda job: job.state is JobState.POLLING).request is None


def test_waiting_longer_is_not_an_error(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Fifty polls of "running": not a line above info, no attempt counted."""
    stage.script.says("observe", *[RUNNING] * 50, DONE)
    stage.trigger()
    with caplog.at_level(logging.INFO):
        job = stage.finish()
    assert job.polls == 51
    assert job.attempts == 0
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_an_unchanged_status_is_no_event(stage: Stage) -> None:
    """Only news are events: a hundred equal polls leave one."""
    stage.script.says("observe", *[RUNNING] * 100, DONE)
    stage.trigger()
    stage.finish()
    assert len(stage.run.ledger.events("myipr", "j-1")) == 5  # four states, and the first word


def test_the_deadline_ends_a_job_as_expired(stage: Stage) -> None:
    """Hours of "running" end at the deadline: the remote outcome is unknown, never a success."""
    stage.script.says("observe", RUNNING)
    stage.trigger(deadline=4 * 3600.0, name="a", category_id="1", hash="ab" * 32, size="1")
    start = stage.clock.now()
    job = stage.finish()
    assert job.state is JobState.EXPIRED
    assert job.failure is not None
    assert "unknown" in job.failure.message
    assert 4 * 3600 <= stage.clock.now() - start < 4 * 3600 + 60


def test_a_result_at_the_deadline_still_counts(stage: Stage) -> None:
    """The last look, at the deadline itself, may find a success."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    stage.until(lambda job: job.polls > 2)
    stage.clock.advance(stage.job().deadline_at - stage.clock.now())
    stage.script.says("observe", DONE)
    assert stage.finish().state is JobState.SUCCEEDED


def test_an_unknown_word_means_running_and_is_logged_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A word nobody documented is no verdict."""
    word = f"word-{id(stage)}"
    odd = Observation(Verdict.RUNNING, word=word, known=False)
    stage.script.says("observe", odd, odd, odd, DONE)
    stage.trigger()
    with caplog.at_level(logging.WARNING):
        assert stage.finish().state is JobState.SUCCEEDED
    assert sum(record.message == "unknown_status_word" for record in caplog.records) == 1


def test_progress_asks_when_the_job_should_be_ready(stage: Stage) -> None:
    """Forty per cent after forty seconds: the next look is about sixty seconds ahead, within the window."""
    stage.script.says("observe", RUNNING)
    stage.trigger()
    job = stage.until(lambda job: job.state is JobState.POLLING)
    assert job.submitted_at is not None
    seen = Observation(Verdict.RUNNING, word="in_progress", progress=40)
    policy = PollPolicy(first=2, minimum=2, maximum=600, jitter=0)
    now = job.submitted_at + 40
    move = after_poll(job, seen, now, policy, lease=30)
    assert move.after.due_at == pytest.approx(now + 60)


def test_a_bundle_is_polled_together(stage: Stage) -> None:
    """Ten due jobs are one message, and all are looked at."""
    stage.script.says("observe", RUNNING)
    for number in range(10):
        stage.trigger(f"j-{number}")
    stage.tick()
    stage.clock.advance(60)
    before = len(stage.script.calls)
    stage.tick()
    polled = {what for call, what in stage.script.calls[before:] if call == "observe"}
    assert polled == {f"j-{number}" for number in range(10)}


@pytest.mark.parametrize("rule", [DigestRule.SEED_BEFORE, DigestRule.SEED_AFTER, DigestRule.HMAC])
def test_each_digest_rule_is_found_out_and_recorded(stage: Stage, rule: DigestRule) -> None:
    """How the seed enters is documented nowhere: the rule that matched is in the outcome."""
    import hmac

    seed = b"a-seed"
    digest = {
        DigestRule.SEED_BEFORE: hashlib.sha256(seed + FILE).hexdigest(),
        DigestRule.SEED_AFTER: hashlib.sha256(FILE + seed).hexdigest(),
        DigestRule.HMAC: hmac.new(seed, FILE, hashlib.sha256).hexdigest(),
    }[rule]
    stage.script.says("observe", _ready(sha256=digest, seed="a-seed"))
    stage.script.says("download", FILE)
    stage.trigger()
    outcome = stage.finish().outcome()
    assert outcome["artifacts"][0]["digest_rule"] == rule.value
    assert outcome["artifacts"][0]["verification"] == "verified"


def test_no_promised_digest_is_said_aloud(stage: Stage) -> None:
    """A file without a promised digest is unverified, not verified."""
    stage.script.says("observe", _ready(sha256=None))
    stage.script.says("download", FILE)
    stage.trigger()
    assert stage.finish().outcome()["artifacts"][0]["verification"] == "unverified"


def test_a_wrong_digest_fails_the_job_and_stores_nothing(stage: Stage, tmp_path: Path) -> None:
    """After a few tries: expected and found digest are in the error, and no file is left."""
    stage.script.says("observe", _ready(sha256="0" * 64))
    stage.script.says("download", FILE)
    stage.trigger()
    job = stage.finish()
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.kind == "digest_mismatch"
    assert "0" * 64 in job.failure.message
    assert hashlib.sha256(FILE).hexdigest() in job.failure.message
    assert stage.script.count("download") == stage.run.settings.fetch_attempts
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("promised", "kind"), [({"size": 5}, "size_mismatch"), ({"lines": 9}, "line_count_mismatch")])
def test_a_wrong_length_or_line_count_fails_the_job(stage: Stage, promised: dict[str, int], kind: str) -> None:
    """Length and lines are checked while the bytes pass."""
    stage.script.says("observe", _ready(**promised))
    stage.script.says("download", FILE)
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, kind)


def test_a_file_that_changed_at_rest_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify reads the stored bytes again; what changed since the fetch fails the job."""
    stage.script.says("observe", _ready())
    stage.script.says("download", FILE)
    monkeypatch.setattr(stage.run.storage, "chunks", lambda uri: iter([FILE[:-1] + b"D"]))
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "spoilt_at_rest")


def test_a_file_larger_than_allowed_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider cannot fill our storage."""
    small = stage.run.settings.providers()["myipr"].model_copy(update={"max_artifact_bytes": 4})
    monkeypatch.setattr(stage.run.provider("myipr").script, "provider", None, raising=False)
    provider = stage.run.provider("myipr")
    provider.settings = small
    monkeypatch.setattr(stage.run, "provider", lambda name: provider)
    stage.script.says("observe", _ready(size=None, lines=None, sha256=None))
    stage.script.says("download", FILE)
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert "at most 4 bytes" in job.failure.message
