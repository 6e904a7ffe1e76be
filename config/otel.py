"""Spans by OpenTelemetry's SDK, sent by OTLP over HTTP. The only module that imports it (extra `settle-jobs[otel]`).

Where spans go, how many are sampled, and the name of the service are OpenTelemetry's own `OTEL_…` variables. Attributes
hold no body, address or message: an exception's own text is never recorded.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags

from config.metrics import kind_of
from jobs.record import Job, Move
from providers.base import Located, Observation
from providers.watch import Seen

#: The end of a process waits so long for its last spans to be sent, seconds.
_FAREWELL = 3.0


class Spans:
    """Makes the spans of one process.

    Args:
        processor: takes the spans that are over; sends them if not given.
    """

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "settle"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("settle")
        atexit.register(self.close)

    def close(self) -> None:
        """Send what is left, and make no more. A receiver that does not answer is waited for a little only."""
        atexit.unregister(self.close)
        last = threading.Thread(target=self._provider.shutdown, name="settle-traces", daemon=True)
        last.start()
        last.join(_FAREWELL)

    def accept(self, job: Job) -> tuple[str, Callable[[str], None]]:
        """A job is about to be recorded: below the caller's span, or as the beginning of a trace of its own.

        Returns:
            The `traceparent` for its stages; and what ends the span, given the ledger's answer.
        """
        context = _context(job.trace) if job.trace else Context()
        span = self._tracer.start_span("settle.accept", context, SpanKind.CONSUMER, _of(job))

        def end(answer: str) -> None:
            span.set_attribute("settle.answer", answer)
            if job.failure is not None:
                _went_wrong(span, job.failure.kind)
            span.end()

        return _written(span), end

    @contextmanager
    def stage(self, name: str, job: Job) -> Iterator[Callable[[Any], Any]]:
        """A stage of a job. Gives what is to be told the answer of the stage, and hands it on."""
        with self._tracer.start_as_current_span(
            f"settle.{name}",
            _context(job.trace or ""),
            attributes=_of(job),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def tell(answer: Any) -> Any:
                _describe(span, answer)
                return answer

            try:
                yield tell
            except BaseException as error:
                _went_wrong(span, type(error).__name__)
                raise

    @property
    def recording(self) -> bool:
        """Whether a stage is under way here whose trace is recorded."""
        return trace.get_current_span().is_recording()

    @contextmanager
    def request(self, method: str, what: str, address: tuple[str, int], *, told: bool) -> Iterator[Seen]:
        """A request to a provider, below the stage that makes it.

        Args:
            method: of HTTP.
            what: `call` or `download`.
            address: host and port of the provider.
            told: whether the provider gets a `traceparent`.
        """
        host, port = address
        attributes: dict[str, Any] = {
            "http.request.method": method,
            "server.address": host,
            "server.port": port,
            "settle.what": what,
        }
        # Not made the current one: a download ends in another context than it began.
        span = self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=attributes)
        seen = Seen({"traceparent": _written(span)} if told else {})
        try:
            yield seen
        except BaseException as error:
            _went_wrong(span, (isinstance(error, Exception) and kind_of(error)) or type(error).__name__)
            raise
        finally:
            if seen.status is not None:
                span.set_attribute("http.response.status_code", seen.status)
                if seen.status >= 400:
                    _went_wrong(span, str(seen.status))
            span.end()


def _of(job: Job) -> dict[str, Any]:
    return {
        "settle.job_id": job.id,
        "settle.provider": job.provider,
        "settle.workflow": job.workflow,
        "settle.state": job.state.value,
        "settle.polls": job.polls,
    }


def _context(parent: str) -> Context:
    """The context of a `traceparent` of version 00."""
    _, trace_id, span_id, flags = parent.split("-")
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


def _written(span: Span) -> str:
    own = span.get_span_context()
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


def _went_wrong(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _describe(span: Span, answer: Any) -> None:
    """What a stage gave back, in words that are written to the record, too."""
    found = answer[0] if isinstance(answer, tuple) else answer
    if isinstance(found, Observation):
        span.set_attribute("settle.verdict", found.verdict.value)
        span.set_attribute("settle.status_word", found.word or "")
    elif isinstance(found, Located):
        span.set_attribute("settle.located", found.receipt is not None)
    elif isinstance(found, Move):
        span.set_attribute("settle.next_state", found.after.state.value)
        if found.after.failure is not None:
            _went_wrong(span, found.after.failure.kind)
    elif isinstance(found, Exception):
        _went_wrong(span, kind_of(found) or "")
