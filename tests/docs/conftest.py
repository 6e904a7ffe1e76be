"""The house in which pages are run: Redis, workers, Flower and the simulated APIs, as `settle dev` has them."""

from __future__ import annotations

import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from config.embedded import free_port
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.search import Query
from jobs.states import JobState
from providers import discover
from simulator.control import ControlClient
from tests.docs.blocks import all_blocks
from tests.waiting import until
from workflows.command.stack import Stack


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count what the pages have, and list what runs elsewhere: whoever adds to it is seen."""
    found = all_blocks()
    counts = Counter(block.language for block in found).most_common()
    terminalreporter.section("blocks of the pages")
    terminalreporter.line(f"{len(found)}: {', '.join(f'{number} {language}' for language, number in counts)}")
    for block in found:
        if "run by" in block.notes:
            terminalreporter.line(f"{block.place} ({block.language}): run by {block.notes['run by']}")


@dataclass(frozen=True)
class House:
    """Where a page's commands find Settle.

    Args:
        environment: of the page's shell.
        placeholders: what the pages write for addresses and passwords, and what it is here.
        stack: what runs; none for a page that starts everything by itself.
        log: what its processes printed.
    """

    environment: dict[str, str]
    placeholders: dict[str, str]
    stack: Stack | None = None
    log: list[str] = field(default_factory=list)

    def here(self, text: str) -> str:
        """A text with this house's addresses."""
        for written, real in self.placeholders.items():
            text = text.replace(written, real)
        return text

    @property
    def storage(self) -> Path:
        """Where artifacts go."""
        return Path(self.environment["SETTLE_STATE_DIR"]) / "artifacts"

    def empty(self) -> None:
        """Forget all jobs, here and at the simulated APIs: pages use the same ids."""
        if self.stack is not None:
            with redis.Redis.from_url(self.environment["SETTLE_REDIS_URL"]) as client:
                client.flushall()
            with ControlClient(self.stack.simulator_url) as control:
                control.reset()

    def settled(self, unsuccessful: int) -> None:
        """Wait until every job of the page is over. So many may have ended without success, as the page says."""
        if self.stack is None:
            return
        with redis.Redis.from_url(self.environment["SETTLE_REDIS_URL"], decode_responses=True) as client:
            ledger = Ledger(client)

            def jobs() -> Sequence[Job]:
                return ledger.find(Query(tuple(discover()), limit=1000)).jobs

            until(lambda: all(job.finished for job in jobs()), "all jobs of the page to end")
            bad = [job for job in jobs() if job.state is not JobState.SUCCEEDED]
        told = [f"{job.id} {job.state}: {job.failure.message if job.failure else ''}" for job in bad]
        assert len(bad) <= unsuccessful, f"jobs of this page end without success: {told}"


def bare_environment() -> dict[str, str]:
    """That of a reader: the commands on the path, nothing of Settle set, UTF-8; pip asks no index."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETTLE_", "PYTEST_"))}
    own = Path(sys.executable).parent
    pip = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    terminal = {"LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    return {**clean, **pip, **terminal, "PATH": f"{own}:{clean['PATH']}"}


def _machine(folder: Path, environment: dict[str, str]) -> Path:
    """What a server has outside of Settle's own folder: keys in files, and places for other programs."""
    for name in ("etc/settle", "etc/redis", "backup"):
        (folder / name).mkdir(parents=True)
    settle = folder / "etc" / "settle"
    key = settle / "commonsdb.pem"
    key.write_text(environment.pop("SETTLE_COMMONSDB__SIGNING_KEY"))
    environment["SETTLE_COMMONSDB__SIGNING_KEY_FILE"] = str(key)
    credentials = Path(environment["SETTLE_COMMONSDB__CREDENTIALS_FILE"])
    (settle / "credentials.json").write_bytes(credentials.read_bytes())
    return folder


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all pages."""

    log: list[str] = []

    def echo(name: str, line: str) -> None:
        log.append(f"{name:>12} | {line}")

    password, port = secrets.token_urlsafe(12), str(free_port())
    with Stack(tmp_path_factory.mktemp("house"), echo, own=False, speed=600) as stack:
        machine = _machine(tmp_path_factory.mktemp("machine"), stack.environment)
        own = {name: value for name, value in stack.environment.items() if name.startswith("SETTLE_")}
        flower = {"SETTLE_FLOWER__PASSWORD": password, "SETTLE_FLOWER__PORT": port}
        stack.environment |= flower
        stack.start("flower", [sys.executable, "-m", "workflows.command", "flower"]).wait_for("Visit me at")
        url = own["SETTLE_REDIS_URL"]
        server = urlsplit(url)
        yield House(
            {**bare_environment(), **own, "PASSWORD": password, "SETTLE_FLOWER__PORT": str(free_port())},
            {
                "redis://:password@host:6379/0": url,
                "redis://…": url,
                "http://localhost:5555": f"http://127.0.0.1:{port}",
                "http://127.0.0.1:5555": f"http://127.0.0.1:{port}",
                "settle:…": f"settle:{password}",
                "PASSWORD=…": f"PASSWORD={password}",
                "--port 8080": f"--port {free_port()}",
                "METRICS__PORT=9464": f"METRICS__PORT={free_port()}",
                "METRICS__PORT=9465": f"METRICS__PORT={free_port()}",
                "https://api.commonsdb.org": own["SETTLE_COMMONSDB__BASE_URL"],
                "COMMONSDB__API_KEY=…": f"COMMONSDB__API_KEY={own['SETTLE_COMMONSDB__API_KEY']}",
                "did:key:z…": own["SETTLE_COMMONSDB__DECLARER_ID"],
                "redis-cli ": f"redis-cli -p {server.port} -a {server.password} --no-auth-warning ",
                "/data/appendonlydir": f"{own['SETTLE_STATE_DIR']}/redis/appendonlydir",
                "/backup/": f"{machine}/backup/",
                "/etc/settle/": f"{machine}/etc/settle/",
                "/etc/redis/": f"{machine}/etc/redis/",
            },
            stack,
            log,
        )
