"""A real headless Chromium before a real Flower, with Redis, workers and the simulated APIs behind it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from playwright.sync_api import Browser, Page, sync_playwright

from config.embedded import free_port
from jobs.ledger import Ledger
from tests.web.conftest import PASSWORD, USER, Site
from workflows.command.stack import Stack, celery

#: One process that does all, besides Flower and the simulator.
WORKER = ("-n", "worker@%h", "-Q", "celery,settle.submit,settle.poll,settle.files", "-P", "threads", "-c", "4")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER`: write pictures for the docs there."""
    parser.addoption("--screenshots", type=Path, help="write pictures of the pages into this folder")


@dataclass
class Town(Site):
    """A whole Settle.

    Args:
        stack: all of it but Flower.
    """

    stack: Stack

    @property
    def simulator(self) -> str:
        """Where the control of the simulated APIs is."""
        return self.stack.simulator_url

    def start(self) -> None:
        """Start Flower."""
        self._flower = self.stack.start("flower", [sys.executable, "-m", "workflows.command", "flower"])
        self._flower.wait_for("Visit me at")

    def stop(self) -> None:
        """Stop Flower."""
        self._flower.stop()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Redis, the simulated APIs, a worker and Flower."""
    log: list[str] = []
    port = free_port()
    with Stack(tmp_path_factory.mktemp("town"), lambda _, line: log.append(line), workers={}, own=False) as stack:
        login = {"USER": USER, "PASSWORD": PASSWORD, "PORT": str(port)}
        stack.environment |= {f"SETTLE_FLOWER__{name}": value for name, value in login.items()}
        stack.environment["SETTLE_STORAGE_URL"] = "memory://artifacts"  # the pictures name no folder of a machine
        stack.start("worker", celery("worker", *WORKER)).wait_for(" ready.")
        with closing(redis.Redis.from_url(stack.environment["SETTLE_REDIS_URL"], decode_responses=True)) as client:
            found = Town(f"http://127.0.0.1:{port}", client, Ledger(client), log, stack)
            found.start()
            yield found


@pytest.fixture
def api(town: Town) -> Iterator[httpx.Client]:
    """The JSON API."""
    with town.client(headers={"X-Requested-With": "tests"}) as client:
        yield client


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright; none of Playwright's own browsers is downloaded."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("no Chromium: install the package chromium, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, town: Town) -> Iterator[Page]:
    """A tab of someone who is logged in. It must not have complained of anything at the end."""
    complaints: list[str] = []
    context = browser.new_context(
        base_url=town.url,
        http_credentials={"username": USER, "password": PASSWORD},
        viewport={"width": 1360, "height": 900},
        timezone_id="UTC",
    )
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    # Also what the content security policy has kept out.
    tab.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    yield tab
    context.close()
    expected = ("status of 400", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET")
    assert [text for text in complaints if not any(part in text for part in expected)] == []


@pytest.fixture
def picture(request: pytest.FixtureRequest, page: Page) -> Callable[[str], None]:
    """Write a picture of the page for the docs, if they were asked for."""
    folder: Path | None = request.config.getoption("--screenshots")

    def take(name: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take
