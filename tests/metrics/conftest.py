"""A real Prometheus, and a whole Settle that it scrapes. `make test-metrics` puts its programs on the PATH."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.embedded import free_port
from tests.waiting import until
from workflows.command.stack import Process, Stack, running

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docker" / "prometheus" / "alerts.yml"
CONFIG = ROOT / "docker" / "prometheus" / "prometheus.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "settle.json"


def program(name: str) -> str:
    """A program of Prometheus."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"no {name} on the PATH: run make test-metrics")
    return found


@dataclass
class Prometheus:
    """A running Prometheus."""

    url: str

    def get(self, path: str, **params: str) -> Any:
        """What its HTTP API answers."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=10) as answer:  # noqa: S310
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an expression, now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):  # noqa: S310
                return True
        except OSError:
            return False


@dataclass
class Watched:
    """A whole Settle, and the Prometheus that scrapes it."""

    stack: Stack
    prometheus: Prometheus
    ports: dict[str, int]  #: where each process serves its metrics


def _configuration(ports: dict[str, int], folder: Path) -> Path:
    """The configuration of the repository, with this machine's ports and a shorter interval."""
    shipped = yaml.safe_load(CONFIG.read_text())
    shipped["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    shipped["rule_files"] = [str(RULES)]
    for job in shipped["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        port = ports[job["job_name"].removeprefix("settle-")]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(shipped))
    return path


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Workers, Flower and Prometheus, for all tests of this folder."""
    folder = tmp_path_factory.mktemp("metrics")
    served: dict[str, int] = {}

    def echo(name: str, line: str) -> None:
        if "metrics_served" in line:
            served[name] = int(line.rpartition("port=")[2].split()[0])

    with ExitStack() as exits:
        patch = exits.enter_context(pytest.MonkeyPatch.context())
        flower_port = free_port()
        patch.setenv("SETTLE_METRICS__PORT", "0")
        patch.setenv("SETTLE_FLOWER__PASSWORD", "not-a-secret")
        patch.setenv("SETTLE_FLOWER__PORT", str(flower_port))
        # Somebody who is to be told of events, and does not answer.
        for name, value in {"URL": "http://127.0.0.1:9/", "ALLOW_HTTP": "true", "SECRETS": f"whsec_{'a' * 43}"}.items():
            patch.setenv(f"SETTLE_WEBHOOKS__SHOP__{name}", value)
        stack = exits.enter_context(Stack(folder / "state", echo))
        stack.start("flower", [sys.executable, "-m", "workflows.command", "flower"]).wait_for("Visit me at")
        stack.start("webhooks", [sys.executable, "-m", "workflows.command", "webhooks", "run"]).wait_for(
            "delivering to"
        )
        until(lambda: len(served) == 2, "both workers to serve their metrics")
        ports = {**served, "flower": flower_port}
        port = free_port()
        command = [
            program("prometheus"),
            f"--config.file={_configuration(ports, folder)}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        exits.enter_context(running(Process("prometheus", command, stack.environment, lambda *_: None)))
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        until(prometheus.ready, "Prometheus")
        yield Watched(stack, prometheus, ports)
