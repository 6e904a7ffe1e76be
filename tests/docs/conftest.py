"""The house in which pages are run: Redis, workers, Flower and the simulated APIs, as `settle dev` has them."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.embedded import free_port
from workflows.command.stack import Stack


@dataclass(frozen=True)
class House:
    """Where a page's commands find Settle.

    Args:
        environment: of the page's shell.
        placeholders: what the pages write for addresses and passwords, and what it is here.
    """

    environment: dict[str, str]
    placeholders: dict[str, str]

    def here(self, text: str) -> str:
        """A text with this house's addresses."""
        for written, real in self.placeholders.items():
            text = text.replace(written, real)
        return text


def bare_environment() -> dict[str, str]:
    """That of a reader: the commands on the path, nothing of Settle set, UTF-8."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETTLE_", "PYTEST_"))}
    own = Path(sys.executable).parent
    return {**clean, "PATH": f"{own}:{clean['PATH']}", "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all pages. What its processes print is shown when a page fails."""

    def echo(name: str, line: str) -> None:
        sys.__stdout__ and print(f"{name:>12} | {line}")

    password, port = secrets.token_urlsafe(12), str(free_port())
    with Stack(tmp_path_factory.mktemp("house"), echo, own=False, speed=240) as stack:
        own = {name: value for name, value in stack.environment.items() if name.startswith("SETTLE_")}
        flower = {"SETTLE_FLOWER__PASSWORD": password, "SETTLE_FLOWER__PORT": port}
        stack.environment |= flower
        stack.start("flower", [sys.executable, "-m", "workflows.command", "flower"]).wait_for("Visit me at")
        url = own["SETTLE_REDIS_URL"]
        yield House(
            {**bare_environment(), **own, "PASSWORD": password, "SETTLE_FLOWER__PORT": str(free_port())},
            {
                "redis://:password@host:6379/0": url,
                "redis://…": url,
                "http://localhost:5555": f"http://127.0.0.1:{port}",
                "http://127.0.0.1:5555": f"http://127.0.0.1:{port}",
                "settle:…": f"settle:{password}",
            },
        )
