"""Requests that are watched: for metrics and traces, and what of that a provider gets to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from config import metrics, traces
from config.otel import Spans
from config.settings import made_of
from config.watching import watch
from jobs.record import Job
from jobs.states import JobState
from providers.errors import ProviderError, Refused

from .bench import client_of, failing, go
from .server import http, never, scripted

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
JOB = Job(
    id="j-1",
    provider="lettrlabs",
    workflow="lettrlabs.convert",
    state=JobState.POLLING,
    created_at=0.0,
    deadline_at=1.0,
    trace=f"00-{TRACE}-00f067aa0ba902b7-01",
)


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """The spans that are over."""
    exporter = InMemorySpanExporter()
    own = Spans(SimpleSpanProcessor(exporter))
    traces.use(own)
    yield exporter
    own.close()
    traces.use(None)


@dataclass
class Counted:
    """What was counted of requests."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def requests(self, **labels: str) -> float | None:
        """How many with these labels."""
        metrics.moved([], [])
        return self.registry.get_sample_value("settle_request_seconds_count", {"provider": "lettrlabs", **labels})


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    """Counting is on."""
    found = Counted()
    metrics.enable(tmp_path).register(found.registry)
    yield found
    metrics.disable()


def _watch(url: str, *, on: bool = True, told: bool = False) -> Any:
    own = {"base_url": url, "api_key": "a-key"}
    settings = made_of(lettrlabs=own, redis_url="redis://nowhere", traces={"on": on, "to_providers": told})
    return watch("lettrlabs", settings, settings.provider("lettrlabs"))


@contextmanager
def _stage() -> Iterator[None]:
    with traces.spans().stage("poll", JOB):
        yield


def _requests(exported: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exported.get_finished_spans() if span.kind is SpanKind.CLIENT]


def test_nobody_watches_unless_it_is_wanted() -> None:
    """Neither metrics nor traces: the client has nobody to tell."""
    assert _watch("http://127.0.0.1:9", on=False) is None


@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
def test_a_request_is_a_span_below_its_stage(exported: InMemorySpanExporter, told: bool) -> None:
    """In the caller's trace; the provider hears of it only if a setting says so, and then of this very span."""

    async def ask() -> Any:
        async with scripted(lambda _: http(200, {"a": 1})) as server, client_of(server.url) as client:
            client.watch = _watch(server.url, told=told)
            with _stage():
                await client.call("GET", "/v1/conversions/1/status?secret=1", headers={"X-Own": "b"})
            return server.seen[0]

    seen = go(ask())
    (request,) = _requests(exported)
    (stage,) = [span for span in exported.get_finished_spans() if span.name == "settle.poll"]
    assert request.parent is not None
    assert stage.context is not None
    assert request.context is not None
    assert request.parent.span_id == stage.context.span_id
    assert f"{request.context.trace_id:032x}" == TRACE
    wanted = f"00-{TRACE}-{request.context.span_id:016x}-01" if told else None
    assert seen.headers.get("traceparent") == wanted
    assert seen.headers["x-own"] == "b"
    assert "x-api-key" in seen.headers
    attributes = dict(request.attributes or {})
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.response.status_code"] == 200
    assert attributes["server.address"] == "127.0.0.1"
    assert not any("secret" in str(value) or "conversions" in str(value) for value in attributes.values())


def test_a_request_outside_of_a_traced_stage_is_no_span(exported: InMemorySpanExporter) -> None:
    """Of a job that nobody traces, or of `settle doctor`: it begins no trace, and carries none."""

    async def ask() -> Any:
        async with scripted(lambda _: http(200, {})) as server, client_of(server.url) as client:
            client.watch = _watch(server.url, told=True)
            await client.call("GET", "/v1/me")
            return server.seen[0]

    assert "traceparent" not in go(ask()).headers
    assert exported.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("answer", "result", "error"),
    [
        (lambda _: http(200, {}), "2xx", None),
        (lambda _: http(404, {}), "4xx", "404"),
        (lambda _: http(500, {}), "5xx", "500"),
        (lambda _: None, "lost_answer", "lost_answer"),
        (never, "lost_answer", "lost_answer"),
    ],
    ids=["fine", "unknown", "broken", "cut", "silent"],
)
def test_each_end_of_a_request(
    exported: InMemorySpanExporter, counted: Counted, answer: Any, result: str, error: str | None
) -> None:
    """Its duration by result; a span with the same word, and no text of the exception."""

    async def ask() -> None:
        async with scripted(answer) as server, client_of(server.url) as client:
            client.watch = _watch(server.url)
            with _stage(), suppress(ProviderError):
                await client.call("POST", "/v1/conversions", json=[])

    go(ask())
    assert counted.requests(method="POST", what="call", result=result) == 1
    (request,) = _requests(exported)
    assert (request.attributes or {}).get("error.type") == error
    assert (request.status.status_code is StatusCode.ERROR) == (error is not None)
    assert request.status.description is None
    assert request.events == ()


def test_a_refused_connection_is_counted_too(counted: Counted) -> None:
    """By its kind."""

    async def ask() -> None:
        async with client_of("http://127.0.0.1:9", transport=failing(httpx.ConnectError(""))) as client:
            client.watch = _watch(client.base_url, on=False)
            with pytest.raises(ProviderError):
                await client.call("GET", "/v1/me")

    go(ask())
    assert counted.requests(method="GET", what="call", result="not_sent") == 1


@pytest.mark.parametrize("own", [True, False], ids=["own origin", "download host"])
def test_a_download_is_watched_and_a_foreign_host_hears_nothing(
    exported: InMemorySpanExporter, counted: Counted, own: bool
) -> None:
    """The span lasts as long as the file; no header of ours goes to another host."""

    async def fetch() -> Any:
        async with scripted(lambda _: http(200, b"a file")) as one, scripted(lambda _: http(200, b"a file")) as two:
            async with client_of(one.url, download_hosts=("127.0.0.1",)) as client:
                client.watch = _watch(one.url, told=True)
                with _stage():
                    async with client.download(f"{(one if own else two).url}/file") as chunks:
                        assert b"".join([chunk async for chunk in chunks]) == b"a file"
            return (one if own else two).seen[0]

    seen = go(fetch())
    assert ("traceparent" in seen.headers) is own
    assert ("x-api-key" in seen.headers) is own
    assert counted.requests(method="GET", what="download", result="2xx") == 1
    assert len(_requests(exported)) == 1


def test_a_download_that_is_refused(exported: InMemorySpanExporter, counted: Counted) -> None:
    """By the kind of its error."""

    async def fetch() -> None:
        async with scripted(lambda _: http(400)) as server, client_of(server.url) as client:
            client.watch = _watch(server.url)
            with _stage(), pytest.raises(Refused):
                async with client.download("/file"):
                    pass

    go(fetch())
    assert counted.requests(method="GET", what="download", result="refused") == 1
    (request,) = _requests(exported)
    assert (request.attributes or {})["error.type"] == "refused"
