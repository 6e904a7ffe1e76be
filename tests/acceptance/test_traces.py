"""One trace from the caller through every stage to the provider, over real workers and a real receiver."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import free_port
from simulator import samples
from tests.waiting import until

from .conftest import PYTHON, House
from .receiver import Received, receiving

pytestmark = pytest.mark.acceptance

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def received() -> Iterator[Received]:
    """A receiver of spans."""
    with receiving() as found:
        yield found


def _tracing(house: House, url: str) -> None:
    house.environment.update(
        SETTLE_TRACES__ON="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        OTEL_METRICS_EXPORTER="none",
    )


@pytest.mark.timeout(90)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_one_trace_from_the_caller_to_the_provider(house: House, received: Received, pool: str) -> None:
    """Its `traceparent` in the message's headers, as instrumented clients send it; a file is fetched, too."""
    _tracing(house, received.url)
    worker = house.worker("-P", pool, "-c", "2")
    paid = samples.payment("traced")
    house.sim.plan("unique_tokens", paid["ident"], outcome="success", duration=30)
    body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 1000, "seed": "a-seed"}
    result = house.client.send_task(
        "settle.unique_tokens.produce",
        kwargs={**body, "payment": {"id": paid["id"], "ident": paid["ident"]}},
        task_id="traced",
        headers={"traceparent": f"00-{TRACE}-{SPAN}-01"},
    )
    assert result.get(timeout=40)["state"] == "succeeded"
    names = {f"settle.{name}" for name in ("accept", "submit", "poll", "fetch", "verify", "tidy", "emit")}
    # Each process sends its own, when it likes.
    until(lambda: {span.name for span in received.of(TRACE)} >= names, f"all of {names}")
    worker.stop()
    spans = received.of(TRACE)
    stages = [span for span in spans if span.name.startswith("settle.")]
    assert {span.name for span in stages} == names
    accepted = stages[0]
    assert (accepted.name, accepted.parent_span_id.hex()) == ("settle.accept", SPAN)
    assert {span.parent_span_id for span in stages[1:]} == {accepted.span_id}
    by_id = {span.span_id: span.name for span in stages}
    below = {by_id[span.parent_span_id] for span in spans if span not in stages}
    assert below >= {"settle.submit", "settle.poll", "settle.fetch"}
    assert received.services == {"settle"}
    for secret in (house.environment["SETTLE_UNIQUE_TOKENS__API_KEY"], paid["ident"], "a-seed"):
        assert secret.encode() not in received.raw


@pytest.mark.timeout(90)
def test_the_command_is_part_of_the_trace_that_started_it(house: House, received: Received, tmp_path: Path) -> None:
    """`TRACEPARENT` in its environment, also for the lines of a file."""
    _tracing(house, received.url)
    house.worker("-P", "threads", "-c", "2")
    for name in ("one", "two"):
        house.sim.plan("lettrlabs", name, outcome="success", duration=5)
    environment = {**house.environment, "TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}
    for file, body in (
        ("one.json", {"conversions": [samples.conversion("one")]}),
        ("many.jsonl", samples.conversion("two")),
    ):
        path = tmp_path / file
        path.write_text(json.dumps(body))
        done = subprocess.run(
            [PYTHON, "-m", "workflows.command", "submit", "lettrlabs.convert", "--input", str(path), "--wait"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def jobs() -> set[str]:
        polled = [span for span in received.of(TRACE) if span.name == "settle.poll"]
        return {a.value.string_value for span in polled for a in span.attributes if a.key == "settle.job_id"}

    until(lambda: len(jobs()) == 2, f"both jobs in the trace, not {jobs()}")


@pytest.mark.timeout(90)
def test_no_receiver_costs_no_job(house: House) -> None:
    """Spans that nobody takes are dropped; the job and the end of the worker do not wait for them."""
    _tracing(house, f"http://127.0.0.1:{free_port()}")
    worker = house.worker("-P", "prefork", "-c", "2")
    house.sim.plan("lettrlabs", "n-1", outcome="success", duration=5)
    result = house.send("lettrlabs.convert", {"conversions": [samples.conversion("n-1")]}, "n-1")
    assert result.get(timeout=30)["state"] == "succeeded"
    assert worker.stop(grace=15) == 0


def test_tracing_without_the_library_is_refused_at_the_start(house: House) -> None:
    """With the remedy; nothing of it is imported unless it is switched on."""
    hidden = (
        "import sys; sys.modules['opentelemetry'] = None; from config.settings import read; print(read().traces.on)"
    )
    environment = {**house.environment, "SETTLE_TRACES__ON": "true"}
    refused = subprocess.run([PYTHON, "-c", hidden], env=environment, capture_output=True, text=True, check=False)
    assert "settle-jobs[otel]" in refused.stderr
    # Not by the name of the library alone: redis-py looks for it, too.
    off = (
        "import sys, config.celery_app, tasks.poll; print({'config.otel', 'opentelemetry.exporter'} & set(sys.modules))"
    )
    fine = subprocess.run([PYTHON, "-c", off], env=house.environment, capture_output=True, text=True, check=False)
    assert fine.stdout.strip() == "set()", fine.stderr
