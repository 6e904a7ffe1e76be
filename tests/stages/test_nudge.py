"""The clock is told when something may be due: a lone job waits for no tick."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tasks import clock as ticking
from tasks.clock import Clock
from tasks.poll import poll
from tasks.submit import submit


class Timer:
    """Notes what is scheduled."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.cancelled = 0

    def call_after(self, seconds: float, *_: Any) -> Timer:
        self.waits.append(seconds)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


class Hub:
    """Its event loop: watches what other threads may wake it by."""

    def __init__(self) -> None:
        self.readers: dict[Any, Any] = {}

    def add_reader(self, end: Any, callback: Any, *args: Any) -> None:
        self.readers[end] = lambda: callback(*args)

    def remove(self, end: Any) -> None:
        del self.readers[end]

    def turn(self) -> None:
        """Call whoever has something to read."""
        for end in select.select(list(self.readers), [], [], 0)[0]:
            self.readers[end]()


class Consumer:
    """As much of a consumer as a bootstep touches."""

    def __init__(self) -> None:
        self.timer = Timer()
        self.hub: Hub | None = Hub()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Clock, Consumer]]:
    """A running clock whose looks do nothing."""
    consumer = Consumer()
    clock = Clock(consumer)
    monkeypatch.setattr(Clock, "prepare", lambda *_: None)
    monkeypatch.setattr(Clock, "look", lambda _: 0.2)
    monkeypatch.setattr(ticking, "_ticking", (clock, threading.get_ident()))
    clock.start(consumer)
    yield clock, consumer
    clock.stop(consumer)


def test_a_nudged_clock_looks_at_once(clock: tuple[Clock, Consumer]) -> None:
    """The look that was planned is replaced, not joined: there is never more than one."""
    ticking.nudge()
    assert clock[1].timer.waits == [0.0, 0.0]
    assert clock[1].timer.cancelled == 1


def test_a_stopped_clock_stays_so(clock: tuple[Clock, Consumer]) -> None:
    """Nudged by a stage that ends during a shutdown."""
    clock[0].stop(clock[1])
    ticking.nudge()
    assert clock[1].timer.waits == [0.0]


def test_another_thread_leaves_the_timer_alone(clock: tuple[Clock, Consumer]) -> None:
    """A pool of threads tells of its results in these: the consumer's own thread looks, as soon as it can."""
    ticker, consumer = clock

    def from_elsewhere() -> None:
        thread = threading.Thread(target=ticking.nudge)
        thread.start()
        thread.join()

    from_elsewhere()
    assert consumer.timer.waits == [0.0]
    assert consumer.hub is not None
    consumer.hub.turn()
    consumer.hub.turn()  # it was rung once
    assert consumer.timer.waits == [0.0, 0.0]
    ticker.stop(consumer)
    assert not consumer.hub.readers
    from_elsewhere()


def test_without_an_event_loop_the_next_look_comes_in_time(clock: tuple[Clock, Consumer]) -> None:
    """In a pool of green threads nobody can be woken."""
    ticker, consumer = clock
    ticker.stop(consumer)
    consumer.hub = None
    ticker.start(consumer)
    ticker.nudge_soon()
    assert consumer.timer.waits == [0.0, 0.0]


def test_a_nudge_during_a_look_changes_nothing(clock: tuple[Clock, Consumer], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would look for is being looked at; only one look is planned afterwards."""

    def look(_: Clock) -> float:
        ticking.nudge()
        return 0.2

    monkeypatch.setattr(Clock, "look", look)
    clock[0]._look(clock[1])
    assert clock[1].timer.waits == [0.0, 0.2]
    assert clock[1].timer.cancelled == 0


@pytest.mark.parametrize("stage", [poll, submit], ids=lambda stage: stage.name)
def test_the_end_of_a_bundle_nudges(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request class of the stages that take bundles calls it when the message is acknowledged."""
    from celery.utils.imports import symbol_by_name

    told = []
    request = symbol_by_name(stage.Request)
    monkeypatch.setattr(ticking, "nudge", lambda: told.append(stage.name))
    monkeypatch.setattr(ticking.CeleryRequest, "acknowledge", lambda _: told.append("acknowledged"))
    request.acknowledge(object.__new__(request))
    assert told == ["acknowledged", stage.name]
