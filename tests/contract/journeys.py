"""The journeys that every client makes under more than one setting of each switch of its API.

A journey ends in a word or two. The tests know the usual one, and those settings that rightly end it otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import ArtifactError
from providers.base import Verdict
from providers.errors import Busy, LostAnswer, ProviderError, Unauthorized
from simulator.switches import Switches

from .bench import DELETE, Bench, Trip, Way

#: How each journey usually ends.
USUAL = {"good": "succeeded", "bad": "failed", "lost": "found, succeeded", "twice": "one job", "stranger": "refused"}


@dataclass(frozen=True)
class Case:
    """One setting of one switch (and of others, where it means nothing alone).

    Args:
        name: of the switch.
        value: of the switch.
        beside: other switches.
        settings: those of the client that answer to it.
        ends: how journeys end that do not end as usual.
    """

    name: str
    value: Any
    beside: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        more = "".join(f",{name}={value}" for name, value in {**self.beside, **self.settings}.items())
        return f"{self.name}={self.value}{more}".replace(" ", "")

    def end(self, journey: str, usual: Mapping[str, str]) -> str:
        """How a journey ends."""
        return self.ends.get(journey, usual[journey])


def untried(switches: type[Switches], cases: list[Case]) -> list[str]:
    """The switches for which there are not at least two settings, that of the default among them: add cases."""
    seen: dict[str, set[str]] = {name: {str(field.default)} for name, field in switches.model_fields.items()}
    for case in cases:
        for name, value in {case.name: case.value, **case.beside}.items():
            seen[name].add(str(value))
    return [name for name, values in seen.items() if len(values) < 2]


async def _watched(trip: Trip, step: float) -> str:
    """How a submitted job ends, its files fetched; the rule of their digests, where it is not the plain promise."""
    for _ in range(60):
        wait = step
        try:
            last = await trip.observe()
        except Busy as error:  # as the poll stage does: a closed gate costs time
            wait = max(error.retry_after or 0.0, step)
        except ProviderError as error:
            return type(error).__name__
        else:
            if last.verdict is not Verdict.RUNNING:
                break
        trip.clock.advance(wait)
    else:
        return "running"
    if last.verdict is Verdict.FAILED:
        return "failed"
    assert tuple(artifact.name for artifact in last.artifacts) == trip.way.artifacts
    words = ["succeeded"]
    for artifact in last.artifacts:
        try:
            try:
                _, rule = await trip.fetch(artifact)
            except Busy as error:
                trip.clock.advance(max(error.retry_after or 0.0, 60.0))
                _, rule = await trip.fetch(artifact)
        except (ArtifactError, ProviderError) as error:
            return type(error).__name__
        if artifact.sha256 is None and artifact.size is not None:
            words.append("unverified")
        assert (rule is None) == (artifact.sha256 is None)
    return ", ".join(words)


async def _good(bench: Bench, trip: Trip, step: float) -> str:
    """Submitted once, followed to its end."""
    try:
        await trip.submit()
    except ProviderError as error:
        return type(error).__name__
    return await _watched(trip, step)


async def _lost(bench: Bench, trip: Trip, step: float) -> str:
    """The answer to the submission is lost; the provider is asked, and what is found is followed."""
    # The transport repeats a lost DELETE once by itself, as HTTP allows; never a POST.
    times = 2 if trip.way is DELETE else 1
    bench.sim.fault(trip.way.provider, "reset_after", trip.way.submit, times=times)
    try:
        await trip.submit()
    except LostAnswer:
        pass
    except ProviderError as error:
        return type(error).__name__
    else:
        return "answered"
    bench.clock.advance(5)
    try:
        located = await trip.locate()
    except ProviderError as error:
        return type(error).__name__
    if located.receipt is None:
        return "gone" if located.gone else "absent" if located.absent else "unknown"
    return f"found, {await _watched(trip, step)}"


async def _twice(bench: Bench, trip: Trip, step: float) -> str:
    """Sent again with the same body, as after a doubt that was resolved wrongly: how many jobs that makes."""
    try:
        first = await trip.submit()
    except ProviderError as error:
        return type(error).__name__
    try:
        second = await trip.submit()
    except ProviderError:
        return "two jobs" if bench.accepted(trip.way) > 1 else "one job"
    return "one job" if first["remote_id"] == second["remote_id"] else "two jobs"


async def _stranger(bench: Bench, trip: Trip, step: float) -> str:
    """With a key that the API does not know."""
    try:
        await trip.submit()
    except Unauthorized:
        return "refused"
    except ProviderError as error:
        return type(error).__name__
    return "accepted"


_JOURNEYS: dict[str, Callable[[Bench, Trip, float], Awaitable[str]]] = {
    "good": _good, "bad": _good, "lost": _lost, "twice": _twice, "stranger": _stranger,
}  # fmt: skip


async def made(
    bench: Bench, way: Way, case: Case, journey: str, *, body: Mapping[str, Any] | None = None, step: float = 6.0
) -> str:
    """Make a journey under a setting; gives the word that it ends in.

    Args:
        bench: of the test.
        way: the operation.
        case: the setting.
        journey: its name in `USUAL`.
        body: of the request, if not the usual one.
        step: simulated seconds between two looks.
    """
    given = bench.body(way) if body is None else body  # made first: the setting may be about other callers, too
    bench.sim.set_switches(way.provider, **{case.name: case.value}, **case.beside)  # type: ignore[arg-type]
    bench.sim.plan(way.provider, way.reference, outcome="failed" if journey == "bad" else "success", duration=20)  # type: ignore[arg-type]
    settings = {**case.settings, **({"key": "a-strange-key"} if journey == "stranger" else {})}
    async with bench.trip(way, given, **settings) as trip:
        return await _JOURNEYS[journey](bench, trip, step)
