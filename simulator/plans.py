"""The fate of a job: how long it takes and how it ends, drawn from a seeded generator or planned by a caller."""

import random
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.clock import Clock

Provider = Literal["commonsdb", "myipr", "unique_tokens", "lettrlabs"]
PROVIDERS: tuple[Provider, ...] = ("commonsdb", "myipr", "unique_tokens", "lettrlabs")

Outcome = Literal["running", "succeeded", "failed", "deleted"]


class Plan(BaseModel):
    """What shall happen to the job with a caller reference; what is left out is drawn as usual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["success", "failed"] | None = Field(None, description="how the job ends")
    duration: float | None = Field(None, ge=0, description="processing time in simulated seconds")
    wrong_digest: bool = Field(False, description="publish a digest that does not fit the file")
    message: str | None = Field(None, description="the text that explains a failure")


@dataclass(slots=True)
class Fate:
    """How one accepted job goes on, with times in real epoch seconds and `duration` in simulated seconds."""

    clock: Clock
    accepted_at: float
    duration: float
    failed: bool = False
    message: str = ""
    wrong_digest: bool = False

    @property
    def ends_at(self) -> float:
        """When processing is over, in real epoch seconds."""
        return self.accepted_at + self.clock.real(self.duration)

    def over(self, now: float) -> bool:
        """Tell whether processing is over at `now`."""
        return now >= self.ends_at

    def fraction(self, now: float) -> float:
        """Give the part of the processing that is done at `now`, from 0 to 1."""
        length = self.clock.real(self.duration)
        return 1.0 if length <= 0 else min(1.0, max(0.0, (now - self.accepted_at) / length))

    def apply(self, plan: Plan) -> None:
        """Bend this fate to `plan`; its fields that are unset change nothing."""
        if plan.outcome is not None:
            self.failed = plan.outcome == "failed"
        if plan.duration is not None:
            self.duration = plan.duration
        if plan.message is not None:
            self.message = plan.message
        if "wrong_digest" in plan.model_fields_set:
            self.wrong_digest = plan.wrong_digest


@dataclass(slots=True)
class Job:
    """One accepted job: the caller's references to it, its fate, and what the simulator counts about it.

    `references` are those of the account; `aliases` are further names that plans and faults may use.
    """

    references: tuple[str, ...]
    aliases: tuple[str, ...]
    fate: Fate
    rng: random.Random
    polls: int = 0
    files_served: int = 0

    def outcome(self, now: float) -> Outcome:
        """Tell how the job stands at `now`."""
        if not self.fate.over(now):
            return "running"
        return "failed" if self.fate.failed else "succeeded"


class Plans:
    """The plans by provider and reference, and the drawing of fates.

    Every job has its own generator, seeded by (seed, provider, key, how often that key was used): so a run is
    reproducible whatever the order in which concurrent submissions arrive.
    """

    def __init__(self, clock: Clock, seed: int, durations: dict[Provider, tuple[float, float]]) -> None:
        self._clock = clock
        self._seed = seed
        self._durations = durations
        self._plans: dict[tuple[str, str], Plan] = {}
        self._used: dict[tuple[str, str], int] = {}

    def put(self, provider: Provider, reference: str, plan: Plan) -> None:
        """Fix the fate of the jobs of `reference` that come from now on."""
        self._plans[provider, reference] = plan

    def rng(self, provider: Provider, key: str) -> random.Random:
        """Give the generator of the next job with this `key`."""
        count = self._used[provider, key] = self._used.get((provider, key), 0) + 1
        return random.Random(f"{self._seed}:{provider}:{key}:{count}")

    def draw(self, provider: Provider, names: tuple[str, ...], rng: random.Random, now: float) -> Fate:
        """Draw the fate of a job accepted at `now`; the first of `names` that has a plan bends it."""
        fate = Fate(self._clock, now, rng.uniform(*self._durations[provider]))
        for name in names:
            plan = self._plans.get((provider, name))
            if plan is not None:
                fate.apply(plan)
                break
        return fate

    def clear(self) -> None:
        """Forget all plans and start the generators again."""
        self._plans.clear()
        self._used.clear()
