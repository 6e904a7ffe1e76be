"""Jobs that are under way while something breaks, and the simulator's own books about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from simulator import samples
from simulator.control import ControlClient
from tests import waiting

#: Containers take their time, seconds.
until = partial(waiting.until, patience=60.0)


@dataclass
class Load:
    """Conversions at LettrLabs.

    Args:
        client: an application that knows nothing but the addresses.
        control: of the simulator.
        seconds: how long the provider takes for each.
    """

    client: Celery
    control: ControlClient
    seconds: float = 6.0
    sent: dict[str, AsyncResult[Any]] = field(default_factory=dict)

    def send(self, count: int, client: Celery | None = None) -> list[AsyncResult[Any]]:
        """Trigger more jobs."""
        speed = self.control.health()["speed"]
        names = [f"job-{len(self.sent) + number}" for number in range(count)]
        for name in names:
            self.control.plan("lettrlabs", name, outcome="success", duration=self.seconds * speed)
            kwargs = {"conversions": [samples.conversion(name)]}
            (client or self.client).send_task("settle.lettrlabs.convert", kwargs=kwargs, task_id=name)
            # Whatever becomes of the broker that it was sent by: results are asked for where they are.
            self.sent[name] = self.client.AsyncResult(name)
        return [self.sent[name] for name in names]

    def reach(self, state: str) -> None:
        """Wait until all jobs are in a state."""
        until(lambda: {job.state for job in self.sent.values()} == {state}, f"all at {state}")

    def half_sent(self) -> None:
        """Wait until the provider has taken a job and not yet answered: the narrow place of a submission.

        One: which of two lost uploads is whose, nobody could tell from LettrLabs' list.
        """
        self.control.fault("lettrlabs", "latency", operation="create_conversions", seconds=1.5)
        self.send(1)
        until(lambda: self.taken(), "a request on its way")
        self.control.clear_faults("lettrlabs")

    def taken(self) -> int:
        """How many jobs the provider has by now."""
        return len(self.control.account()["lettrlabs"].jobs)

    def end_well(self) -> None:
        """All jobs succeed, and by the simulator's books each was submitted and accepted once."""
        states = {name: job.get(timeout=90)["state"] for name, job in self.sent.items()}
        assert states == dict.fromkeys(self.sent, "succeeded")
        books = self.control.account()["lettrlabs"]
        assert {name: (job.submits, job.accepted) for name, job in books.jobs.items()} == dict.fromkeys(
            self.sent, (1, 1)
        )
        assert not books.doubles
