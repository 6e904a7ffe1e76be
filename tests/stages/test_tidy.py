"""Tidying up at the provider: after every file is safe, before the outcome is told; and lines that must differ."""

from __future__ import annotations

import gzip
import hashlib
import logging

import pytest

from jobs.artifacts import Artifact
from jobs.errors import InvalidJob
from jobs.states import JobState
from providers.base import Observation, Verdict
from providers.errors import Busy, LostAnswer, NotFound, Refused, Unauthorized
from providers.unique_tokens.distinct import LONGEST_LINE, MOST_LINES
from tasks import verify as verifying
from tasks.tidy import tidy

from .conftest import DONE, Stage

FILE = b"AAA\nBBB\nCCC"


def ready(content: bytes = FILE, **promised: object) -> Observation:
    """A job whose file can be fetched."""
    found = {"size": len(content), "lines": content.count(b"\n") + 1, "sha256": hashlib.sha256(content).hexdigest()}
    file = Artifact("tokens.txt", link="/data", **{**found, **promised})  # type: ignore[arg-type]
    return Observation(Verdict.SUCCEEDED, word="ended", artifacts=(file,), result={"size": 3, "dismantled": False})


def test_the_provider_is_tidied_up_after_the_files_are_safe(stage: Stage) -> None:
    """And what was done stands in the outcome."""
    stage.script.says("observe", ready())
    stage.script.says("download", FILE)
    stage.script.says("tidy", {"dismantled": True})
    stage.trigger()
    job = stage.finish()
    assert job.outcome()["result"] == {"size": 3, "dismantled": True}
    assert [call for call, _ in stage.script.calls][-2:] == ["download", "tidy"]
    assert stage.history()[-2:] == ["emitting", "succeeded"]


@pytest.mark.parametrize("spoilt", [{"sha256": "0" * 64}, {"size": 5}, {"lines": 9}], ids=str)
def test_nothing_is_tidied_up_before(stage: Stage, spoilt: dict[str, object]) -> None:
    """A file that is not what was promised can still be fetched there."""
    stage.script.says("observe", ready(**spoilt))
    stage.script.says("download", FILE)
    stage.trigger()
    assert stage.finish().state is JobState.FAILED
    assert stage.script.count("tidy") == 0


def test_a_job_without_files_has_nothing_to_tidy(stage: Stage) -> None:
    """Its poll ends it."""
    stage.script.says("observe", DONE)
    stage.trigger()
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("tidy") == 0


def test_trouble_is_waited_out_for_a_while(stage: Stage) -> None:
    """A few tries, each later than the one before."""
    stage.script.says("observe", ready())
    stage.script.says("download", FILE)
    stage.script.says("tidy", Busy("busy"), LostAnswer("lost"), {"dismantled": True})
    stage.trigger()
    job = stage.finish()
    assert (job.state, (job.result or {})["dismantled"]) == (JobState.SUCCEEDED, True)
    assert stage.script.count("tidy") == 3


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (Busy("busy"), 4),
        (LostAnswer("lost"), 4),
        (Unauthorized("no"), 4),
        (NotFound("gone"), 1),
        (Refused("no", status=409), 1),
        (ZeroDivisionError("a defect"), 1),
        (TimeoutError(), 4),
    ],
    ids=repr,
)
def test_no_job_fails_or_waits_for_ever_because_of_it(stage: Stage, error: Exception, tries: int) -> None:
    """The files are safe: the outcome is told with the line still there."""
    stage.script.says("observe", ready())
    stage.script.says("download", FILE)
    stage.script.says("tidy", error)
    stage.trigger()
    before = stage.clock.now()
    job = stage.finish()
    assert (job.state, job.failure, (job.result or {})["dismantled"]) == (JobState.SUCCEEDED, None, False)
    assert stage.script.count("tidy") == tries
    assert stage.clock.now() - before < 60


def test_a_worker_that_dies_after_it_does_it_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock brings the stage back when the lease is over."""
    stage.script.says("observe", ready())
    stage.script.says("download", FILE)
    stage.script.says("tidy", {"dismantled": True})
    died: list[int] = []

    def dies(settings: object, name: str) -> None:
        if name == "emit.after_tidy" and not died:
            died.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr("tasks.emit.reach", dies)
    stage.trigger()
    with pytest.raises(KeyboardInterrupt):
        stage.finish()
    assert stage.job().state is JobState.EMITTING
    assert stage.finish().state is JobState.SUCCEEDED
    assert stage.script.count("tidy") == 2


def test_a_worker_that_stood_still_leaves_it_alone(stage: Stage) -> None:
    """Its claim is nearly over: the next part of the line may be in production under the same id by now."""
    stage.script.says("observe", ready())
    stage.script.says("download", FILE)
    stage.trigger()
    job = stage.until(lambda job: job.state is JobState.POLLING)
    assert job.due_at is not None
    held = job.to(JobState.FETCHING, now=stage.clock.now(), due_at=stage.clock.now() + 30.0).after
    held = held.to(JobState.VERIFYING, now=stage.clock.now(), due_at=stage.clock.now() + 30.0).after
    held = held.to(JobState.EMITTING, now=stage.clock.now(), due_at=stage.clock.now() + 30.0).after
    stage.clock.advance(25.0)
    assert stage.run.loop.run(tidy(stage.run, held)) == {}
    assert stage.script.count("tidy") == 0


# --- lines that must differ ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_token_that_comes_twice_fails_the_job(
    stage: Stage, caplog: pytest.LogCaptureFixture, distinct: bool, repeats: bool
) -> None:
    """Although size, lines and digest are right; the file is kept, no token is quoted, nothing is dismantled."""
    lines = [b"SECRET%05d" % number for number in range(1000)]
    if repeats:
        lines[-1] = lines[0]
    content = b"\n".join(lines)
    stage.script.says("observe", ready(content, distinct=distinct))
    stage.script.says("download", content)
    stage.trigger()
    with caplog.at_level(logging.DEBUG):
        job = stage.finish()
    (artifact,) = job.artifacts
    if not (distinct and repeats):
        assert job.state is JobState.SUCCEEDED
        assert artifact.public().get("distinct") is (True if distinct else None)
        return
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "duplicate_line")
    assert "SECRET" not in str(job) + caplog.text
    assert stage.script.count("download") == 1
    assert stage.script.count("tidy") == 0
    assert b"".join(stage.run.storage.chunks(artifact.uri or "")) == content


def test_a_spoilt_file_is_told_as_such_and_not_as_repeated(stage: Stage) -> None:
    """What lies there is not what was fetched."""
    stage.script.says("observe", ready(distinct=True))
    stage.script.says("download", FILE)
    stage.trigger()
    original = verifying._check

    def spoil(run: object, job: object, artifact: Artifact) -> Artifact:
        path = (artifact.uri or "").removeprefix("file://")
        with open(path, "wb") as out:  # noqa: PTH123
            out.write(b"AAA\nAAA\nCCC")
        return original(run, job, artifact)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifying, "_check", spoil)
        job = stage.finish()
    assert job.failure is not None
    assert job.failure.kind == "spoilt_at_rest"


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"\n".join(b"%06d" % number for number in range(MOST_LINES + 1)), "line_count_mismatch", "at most 100000"),
        (b"x" * (LONGEST_LINE + 1), "line_length_mismatch", "at most 65536 bytes"),
    ],
    ids=["lines", "a line"],
)
def test_a_file_too_large_to_be_compared_fails_the_job(stage: Stage, content: bytes, kind: str, message: str) -> None:
    """It is what was promised and stored: the provider is to be asked, not the storage."""
    stage.script.says("observe", ready(content, distinct=True))
    stage.script.says("download", content)
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, kind)
    assert message in job.failure.message
    assert "provider" in (job.failure.remedy or "")


# --- packed files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["file", "content"])
def test_a_packed_file_is_checked_inside_and_kept_packed(stage: Stage, of: str) -> None:
    """And the outcome tells which bytes gave the digest."""
    packed = gzip.compress(FILE)
    digest = hashlib.sha256(packed if of == "file" else FILE).hexdigest()
    stage.script.says("observe", ready(FILE, packed=True, sha256=digest, distinct=True))
    stage.script.says("download", packed)
    stage.trigger()
    (artifact,) = stage.finish().outcome()["artifacts"]
    assert (artifact["digest_of"], artifact["verification"], artifact["size"]) == (of, "verified", len(packed))


def test_a_packed_file_that_holds_too_much_is_refused(stage: Stage) -> None:
    """Although it is small itself, and nothing was promised of its length."""
    packed = gzip.compress(bytes(1_000_000))
    limited = stage.run.settings.providers()["myipr"]
    object.__setattr__(limited, "max_artifact_bytes", 100_000)
    stage.script.says("observe", ready(packed=True, size=None, lines=None, sha256=None))
    stage.script.says("download", packed)
    stage.trigger()
    job = stage.finish()
    assert job.failure is not None
    assert (job.state, job.failure.kind) == (JobState.FAILED, "size_mismatch")


# --- what the ledger shows to be impossible --------------------------------------------------------------------------


def test_a_request_that_the_ledger_shows_to_be_impossible_ends_unsent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bad body does; the others of its bundle go on."""

    def intent(request: object, job_id: str) -> dict[str, str]:
        if job_id == "j-1":
            raise InvalidJob("former: there is no such job")
        return {"job": job_id}

    monkeypatch.setattr(stage.script, "intent", intent)
    stage.trigger("j-1")
    stage.trigger("j-2")
    job = stage.finish("j-1")
    assert job.failure is not None
    assert (job.state, job.failure.kind, job.failure.message) == (
        JobState.FAILED,
        "invalid",
        "former: there is no such job",
    )
    assert job.request is None
    assert stage.finish("j-2").state is JobState.SUCCEEDED
    assert [what for call, what in stage.script.calls if call == "submit"] == ["j-2"]
