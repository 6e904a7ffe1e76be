"""One poll that hangs costs its own job a try, and the others of its bundle nothing but time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from providers.errors import LostAnswer
from tasks.poll import _observe_all

from .conftest import DONE


class Operation:
    """Answers at once, or never."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def operation(self, _: str) -> Operation:
        return self

    async def observe(self, job: Any) -> Any:
        if job.id == "slow":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(job.id)
                raise
        return DONE


@pytest.mark.timeout(10)
def test_a_poll_that_hangs_is_given_up_before_its_lease_is_over() -> None:
    """The answers that are there count; the request that hangs is cancelled."""
    operation = Operation()
    run: Any = SimpleNamespace(
        settings=SimpleNamespace(lease=0.25, traces=SimpleNamespace(on=False)), provider=lambda _: operation
    )
    jobs: Any = [SimpleNamespace(id=name, provider="p", workflow="p.o") for name in ("first", "slow", "last")]
    answers = asyncio.run(_observe_all(run, jobs))
    assert [answers[0], answers[2]] == [DONE, DONE]
    assert isinstance(answers[1], LostAnswer)
    assert operation.cancelled == ["slow"]
