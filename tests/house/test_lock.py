"""The house itself: locked requirements, one version of Python's range, lines of the Procfile."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


OTHERS = [
    "benchmarks/requirements.lock",
    "benchmarks/requirements-arq.lock",
    "audit/requirements.lock",
    "docs/requirements.lock",
    "examples/requirements.lock",
]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-otel.lock", "requirements-dev.lock", *OTHERS])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    """Exact versions, at least one hash each, and no address of an index."""
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(blocks) > (10 if name in OTHERS else 30)
    for block in blocks:
        assert re.match(r"[A-Za-z0-9_.\[\]-]+==\S+", block), block[:60]
        assert "--hash=sha256:" in block, block[:60]
    assert "://" not in text
    assert "index-url" not in text


def test_every_package_of_node_is_pinned_and_hashed() -> None:
    """Exact versions, a hash each, and no address of a registry."""
    text = (ROOT / "examples" / "node" / "package-lock.json").read_text()
    packages = {name: found for name, found in json.loads(text)["packages"].items() if name}
    assert len(packages) > 10
    assert all(found["version"] and found["integrity"].startswith("sha512-") for found in packages.values())
    assert "resolved" not in text


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-otel.lock"])
def test_the_locks_agree(name: str) -> None:
    """What production runs is what was tested, with traces or without."""
    pins = [
        dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / lock).read_text(), re.M))
        for lock in (name, "requirements-dev.lock")
    ]
    assert {package: version for package, version in pins[1].items() if package in pins[0]} == pins[0]


def test_the_lock_with_traces_holds_the_other() -> None:
    """And the packages that make them."""
    plain, traces = (
        set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / name).read_text(), re.M))
        for name in ("requirements.lock", "requirements-otel.lock")
    )
    assert plain < traces
    assert "opentelemetry-sdk" in traces - plain


def test_the_procfile_names_each_process_type() -> None:
    """The service is legible from it: every queue is served by a line."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
    served = {queue for line in lines.values() for queue in ",".join(re.findall(r"-Q (\S+)", line)).split(",") if queue}
    assert served == {"celery", "settle.submit", "settle.poll", "settle.files"}
    assert "flower" in lines
