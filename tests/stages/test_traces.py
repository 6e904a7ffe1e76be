"""A job's stages as one trace: below the caller's span, in whatever bundle each of them ran."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from config import traces
from config.otel import Spans
from config.settings import TracesSettings
from jobs.artifacts import Artifact
from providers.base import Located, Observation, Verdict
from providers.errors import LostAnswer, Refused
from tasks.announce import Announcer
from tasks.intake import new_job, record
from tasks.ways import WORKFLOWS

from .conftest import BODY, DONE, RUNNING, Stage

FILE = b"AAA\nBBB\nCCC"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def exported(stage: Stage) -> Iterator[InMemorySpanExporter]:
    """Tracing is on; the spans that are over."""
    exporter = InMemorySpanExporter()
    own = Spans(SimpleSpanProcessor(exporter))
    traces.use(own)
    stage.run.settings = stage.run.settings.model_copy(update={"traces": TracesSettings(on=True)})
    yield exporter
    own.close()
    traces.use(None)


def _send(stage: Stage, trace: object, job_id: str = "j-1", **kwargs: Any) -> None:
    workflow = WORKFLOWS["myipr.certify"]
    job = new_job(stage.run, job_id, workflow.name, workflow.request, (), {**BODY, **kwargs}, trace=trace)
    record(stage.run, Announcer(stage.app, "test"), job)


def _names(exported: InMemorySpanExporter) -> list[str]:
    return [span.name.removeprefix("settle.") for span in exported.get_finished_spans()]


def _one(exported: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in exported.get_finished_spans() if span.name == f"settle.{name}"]
    return found


def _ready() -> Observation:
    promised = Artifact("tokens.txt", link="/data", size=len(FILE), sha256=hashlib.sha256(FILE).hexdigest())
    return Observation(Verdict.SUCCEEDED, word="completed", artifacts=(promised,))


def test_all_stages_are_one_trace_below_the_callers_span(stage: Stage, exported: InMemorySpanExporter) -> None:
    """Accepted below the caller's span, every stage below that: one trace, each with the job's id."""
    stage.script.says("observe", RUNNING, RUNNING, _ready())
    stage.script.says("download", FILE)
    _send(stage, CALLER)
    stage.finish()
    assert _names(exported) == ["accept", "submit", "poll", "poll", "poll", "fetch", "verify", "tidy", "emit"]
    spans = exported.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACE}
    accepted = _one(exported, "accept")
    assert accepted.parent is not None
    assert f"{accepted.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert accepted.context is not None
    assert {span.parent.span_id for span in spans[1:] if span.parent} == {accepted.context.span_id}
    assert {(span.attributes or {})["settle.job_id"] for span in spans} == {"j-1"}
    assert (accepted.attributes or {})["settle.answer"] == "created"
    assert (_one(exported, "emit").attributes or {})["settle.next_state"] == "succeeded"


def test_jobs_of_one_bundle_belong_to_their_own_traces(stage: Stage, exported: InMemorySpanExporter) -> None:
    """One message about three jobs of three callers: one is not recorded, and costs no span."""
    stage.script.says("observe", RUNNING)
    others = {"j-1": CALLER, "j-2": CALLER.replace(TRACE, "1" * 32), "j-3": CALLER[:-2] + "00"}
    for job_id, trace in others.items():
        _send(stage, trace, job_id)
    stage.tick()
    stage.clock.advance(60)
    stage.tick()
    polls = [span for span in exported.get_finished_spans() if span.name == "settle.poll"]
    found = {
        (span.attributes or {})["settle.job_id"]: f"{span.context.trace_id:032x}" for span in polls if span.context
    }
    assert found == {"j-1": TRACE, "j-2": "1" * 32}


def test_the_callers_flag_is_respected(stage: Stage, exported: InMemorySpanExporter) -> None:
    """Who records nothing gets nothing; the context is kept for what follows."""
    _send(stage, CALLER[:-2] + "00")
    stage.finish()
    assert _names(exported) == []
    assert (stage.job().trace or "").startswith(f"00-{TRACE}-")
    assert (stage.job().trace or "").endswith("-00")


@pytest.mark.parametrize("trace", [None, "no trace at all", 7], ids=["none", "rubbish", "number"])
def test_a_job_without_a_caller_begins_a_trace(stage: Stage, exported: InMemorySpanExporter, trace: object) -> None:
    """Its stages belong together all the same."""
    stage.script.says("observe", DONE)
    _send(stage, trace)
    stage.finish()
    assert _names(exported) == ["accept", "submit", "poll"]
    assert _one(exported, "accept").parent is None
    assert len({span.context.trace_id for span in exported.get_finished_spans() if span.context}) == 1


def test_a_chain_stays_in_the_trace(stage: Stage, exported: InMemorySpanExporter) -> None:
    """What follows a job is part of what the caller asked for."""
    stage.script.says("observe", DONE)
    _send(stage, CALLER, then=[{"workflow": "myipr.certify", "kwargs": {**BODY, "name": "b"}}])
    stage.finish()
    stage.finish("j-1.then.1")
    accepted = [span for span in exported.get_finished_spans() if span.name == "settle.accept"]
    assert [(span.attributes or {})["settle.job_id"] for span in accepted] == ["j-1", "j-1.then.1"]
    assert {f"{span.context.trace_id:032x}" for span in exported.get_finished_spans() if span.context} == {TRACE}


def test_a_task_of_another_application_hears_of_the_trace(
    stage: Stage, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the message's headers, where its own instrumentation looks."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(stage.app, "send_task", lambda name, **options: sent.append(options))
    stage.script.says("observe", DONE)
    _send(stage, CALLER, then=[{"task": "billing.opened", "queue": "billing"}])
    stage.finish()
    assert sent[0]["headers"]["traceparent"].startswith(f"00-{TRACE}-")


def test_a_doubt_is_asked_for_in_the_trace(stage: Stage, exported: InMemorySpanExporter) -> None:
    """With the kind of the error, and nothing of its text."""
    stage.script.says("submit", LostAnswer("somebody@example.org did not answer"))
    stage.script.says("locate", Located(receipt={"remote_id": "r-7"}))
    stage.script.says("observe", DONE)
    _send(stage, CALLER)
    stage.finish()
    assert _names(exported) == ["accept", "submit", "locate", "poll"]
    submitted = _one(exported, "submit")
    assert (submitted.attributes or {})["error.type"] == "lost_answer"
    assert submitted.status.status_code is StatusCode.ERROR
    assert not any("example.org" in span.to_json() for span in exported.get_finished_spans())


@pytest.mark.parametrize(
    "error", [Refused("HTTP 400 for Jane", status=400), RuntimeError("Jane")], ids=["no", "defect"]
)
def test_no_text_of_an_error_is_in_a_span(stage: Stage, exported: InMemorySpanExporter, error: Exception) -> None:
    """It may be personal: the class is enough, the log has the rest."""
    stage.script.says("submit", error)
    _send(stage, CALLER)
    stage.until(lambda job: stage.script.count("submit") > 0)
    assert "error.type" in (_one(exported, "submit").attributes or {})
    assert not any("Jane" in span.to_json() for span in exported.get_finished_spans())


def test_a_body_of_a_job_is_in_no_span(stage: Stage, exported: InMemorySpanExporter) -> None:
    """Nor its hash, its name, or what came of it."""
    stage.script.says("observe", DONE)
    _send(stage, CALLER)
    stage.finish()
    told = "".join(span.to_json() for span in exported.get_finished_spans())
    assert BODY["hash"] not in told
    assert BODY["name"] not in told
    assert "v-1" not in told


def test_without_the_setting_the_context_is_kept_and_no_span_is_made(stage: Stage) -> None:
    """The record has the caller's own words, for workers that trace."""
    _send(stage, CALLER)
    assert stage.job().trace == CALLER
    stage.finish()
    assert traces._spans is None


def test_the_entry_task_reads_the_headers(stage: Stage) -> None:
    """The way of a trigger with another broker than Redis."""
    task = stage.app.tasks["settle.myipr.certify"]
    task.push_request(id="j-1", hostname="test", headers={"traceparent": CALLER})
    try:
        with pytest.raises(Exception, match="stays open"):
            task.run(**BODY)
    finally:
        task.pop_request()
    assert stage.job().trace == CALLER


def test_a_job_from_before_tracing_was_switched_on_goes_on_without(
    stage: Stage, exported: InMemorySpanExporter
) -> None:
    """Its record has no context: no span, and no trace of its own in the middle of its way."""
    on = stage.run.settings
    stage.run.settings = on.model_copy(update={"traces": TracesSettings(on=False)})
    stage.trigger()
    stage.run.settings = on
    assert stage.finish().trace is None
    assert _names(exported) == []


def test_an_exception_that_passes_through_leaves_its_class_only(stage: Stage, exported: InMemorySpanExporter) -> None:
    """A stage that is cut off, say: its text stays out, and it is not swallowed."""
    _send(stage, CALLER)
    with pytest.raises(RuntimeError, match="Jane"), traces.spans().stage("poll", stage.job()):
        raise RuntimeError("Jane")
    polled = _one(exported, "poll")
    assert (polled.attributes or {})["error.type"] == "RuntimeError"
    assert "Jane" not in polled.to_json()
