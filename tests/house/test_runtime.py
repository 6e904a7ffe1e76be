"""What a process shares is made once, however many threads ask for it first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from config import runtime as shared
from config.settings import made_of
from tests.ledgers import fresh_ledger


@pytest.fixture(autouse=True)
def _nothing_shared() -> Iterator[None]:
    shared.use(None)
    yield
    shared.use(None)


class Meeting:
    """Whoever makes something waits a while for another one who makes it, too."""

    def __init__(self) -> None:
        self.made = 0
        self._both = threading.Barrier(2)

    def __call__(self, *_: object, **__: object) -> Any:
        self.made += 1
        with suppress(threading.BrokenBarrierError):
            self._both.wait(0.5)
        return self


def _asked_by_two(what: Callable[[], object]) -> set[object]:
    with ThreadPoolExecutor(2) as threads:
        return set(threads.map(lambda _: what(), range(2)))


@pytest.mark.usefixtures("redis_server")
def test_a_provider_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one's connections would be closed by nobody."""
    kind = Meeting()
    monkeypatch.setattr(shared, "discover", lambda: {"myipr": kind})
    own = {"base_url": "http://nowhere.test", "api_key": "k"}
    run = shared.Runtime(made_of(redis_url="redis://nowhere", myipr=own), ledger=fresh_ledger())
    assert _asked_by_two(lambda: run.provider("myipr")) == {kind}
    assert kind.made == 1


def test_a_process_has_one_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would have a loop and clients each."""
    kind = Meeting()
    monkeypatch.setattr(shared, "Runtime", kind)
    assert _asked_by_two(shared.runtime) == {kind}
    assert kind.made == 1
