"""One Settle for all examples: Redis, simulated APIs, one worker, Flower. The examples know its addresses only.

They run in an environment of their own (`EXAMPLES_PYTHON`, of `make test-examples`), where Settle is not installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.embedded import free_port
from tests.acceptance.conftest import House, _house
from tests.acceptance.servers import Servers
from tests.packages import ROOT
from workflows.command.stack import Process, running

EXAMPLES = ROOT / "examples"
PASSWORD = "a-password-of-the-tests"


@dataclass
class Outside:
    """Another application's view of a running Settle.

    Args:
        house: the Settle.
        python: an interpreter that has the client, and nothing of Settle.
        flower: the address of Flower.
    """

    house: House
    python: str
    flower: str

    @property
    def environment(self) -> dict[str, str]:
        """What an example finds in its environment."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        url = self.house.servers.url
        return {**kept, "PYTHONUNBUFFERED": "1", "BROKER_URL": url, "REDIS_URL": url, "DJANGO_SECRET_KEY": "invented"}

    def run(self, command: Sequence[str], folder: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a program of an example to its end, from its folder."""
        return subprocess.run(
            command, cwd=EXAMPLES / folder, env={**self.environment, **settings},
            capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip

    def serve(self, name: str, command: Sequence[str], exits: ExitStack, **settings: str) -> Process:
        """Start a server of an example."""
        inside = ["env", "-C", str(EXAMPLES / name), *command]
        process = Process(name, inside, {**self.environment, **settings}, lambda _, line: self.house.log.append(line))
        return exits.enter_context(running(process))

    def plan(self, provider: str, reference: str, **plan: Any) -> None:
        """What becomes of a job at its provider; soon, unless said otherwise."""
        self.house.sim.plan(provider, reference, **{"outcome": "success", "duration": 30, **plan})

    def submits(self, provider: str, reference: str) -> int:
        """How often a job was submitted, by the simulator's own books."""
        jobs = self.house.sim.account()[provider].jobs
        return jobs[reference].submits if reference in jobs else 0


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Everything, started once."""
    python = os.environ.get("EXAMPLES_PYTHON")
    assert python, "EXAMPLES_PYTHON names no interpreter: run `make test-examples`"
    tmp: Path = tmp_path_factory.mktemp("examples")
    with ExitStack() as exits:
        house = _house(tmp, exits.enter_context(Servers(tmp)), exits)
        port = free_port()
        login = {"SETTLE_FLOWER__USER": "shop", "SETTLE_FLOWER__PASSWORD": PASSWORD, "SETTLE_FLOWER__PORT": str(port)}
        command = [sys.executable, "-m", "workflows.command", "flower"]
        flower = Process("flower", command, {**house.environment, **login}, lambda _, line: house.log.append(line))
        exits.enter_context(running(flower))  # comes up while the worker does
        house.worker("-P", "threads", "-c", "2")
        flower.wait_for("Visit me at")
        yield Outside(house, python, f"http://127.0.0.1:{port}")
