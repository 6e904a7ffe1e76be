"""The way of a job: a workflow is a Celery chain of stages, written in one place.

`poll` suspends its chain: the ledger holds the job and its countdown, the clock brings poll back, and when the status
is terminal the rest of the chain goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery import chain, shared_task
from celery.canvas import Signature
from pydantic import BaseModel

from jobs.errors import ConfigurationError
from providers import discover
from tasks.intake import Entry, accept

Chain = Callable[[str], Any]  # Celery's `|` of signatures: a `chain`, whatever its stubs say


@dataclass(frozen=True)
class Workflow:
    """What a caller triggers.

    Args:
        name: provider and operation, as in `myipr.certify`.
        chain: the stages of a job, given its id.
    """

    name: str
    chain: Chain

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.name.partition(".")[0]

    @property
    def operation(self) -> str:
        """The provider's operation."""
        return self.name.partition(".")[2]

    @property
    def request(self) -> type[BaseModel]:
        """The model of its keyword arguments."""
        if self.provider not in discover():
            raise LookupError(f"there is no provider {self.provider!r}")
        found = {known.name: known for known in discover()[self.provider].operations}
        if self.operation not in found:
            raise LookupError(f"{self.provider} has no operation {self.operation!r}")
        return found[self.operation].request

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order."""
        return tuple(step.task for step in self.chain("").tasks)

    def after(self, stage: str) -> tuple[str, ...]:
        """The names of the stages behind one, in order."""
        return self.stages[self.stages.index(stage) + 1 :]

    def rest(self, job_id: str, stage: str, seq: int | None = None) -> Signature:
        """The chain from a stage on.

        Args:
            job_id: the job.
            stage: the name of the task that comes first.
            seq: the claim under which that stage may begin, if it was claimed.
        """
        steps = list(self.chain(job_id).tasks)
        steps = steps[[step.task for step in steps].index(stage) :]
        if seq is not None:
            # Not by `clone(kwargs=…)`: an immutable signature ignores what is merged into it.
            steps[0] = Signature(steps[0].task, args=(job_id,), kwargs={"seq": seq}, immutable=True)
        return chain(*steps) if len(steps) > 1 else steps[0]


WORKFLOWS: dict[str, Workflow] = {}


def workflow(name: str) -> Callable[[Chain], Workflow]:
    """Make a workflow of a function that gives the chain of a job, and register its entry task `settle.<name>`.

    Raises:
        LookupError: no provider has such an operation.
        ConfigurationError: another module has a workflow of this name.
    """

    def register(steps: Chain) -> Workflow:
        if name in WORKFLOWS:
            raise ConfigurationError(f"workflow {name} is there already, in {WORKFLOWS[name].chain.__module__}")
        found = WORKFLOWS[name] = Workflow(name, steps)
        request = found.request

        @shared_task(name=f"settle.{name}", bind=True, base=Entry)
        def entry(self: Entry, *args: Any, **kwargs: Any) -> None:
            accept(self, name, request, args, kwargs)

        entry.__doc__ = steps.__doc__
        return found

    return register
