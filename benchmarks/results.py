"""What was measured, in the form in which the report shows it: figures, and targets with their verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.saturation import SETTLE, Saturation

CELERY = ("Celery retry, prefork 2", "Celery retry, threads 20")
#: Durable, with httpx as in the measurements that the targets were made from; and with the quicker client.
WITH_HTTPX = (*CELERY, "dramatiq, httpx", "arq, httpx")
WITH_AIOHTTP = ("taskiq, aiohttp", "arq, aiohttp")
HTTPX, AIOHTTP = "asyncio + httpx", "asyncio + aiohttp"


@dataclass(frozen=True, slots=True)
class Figure:
    """Several rounds of one figure."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """From the smallest to the largest, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def over(self, other: Figure) -> Figure:
        """The ratios, round by round: what disturbs a whole round disturbs both."""
        return Figure(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that was asked for.

    Args:
        what: it is.
        wanted: in words.
        found: in words.
        met: whether it is.
    """

    what: str
    wanted: str
    found: str
    met: bool


def at_least(what: str, found: float, limit: float, unit: str = "", *, digits: int = 2) -> Target:
    """A figure that must not be smaller."""
    return Target(what, f"≥ {limit:,g}{unit}", f"{found:,.{digits}f}{unit}", found >= limit)


def at_most(what: str, found: float, limit: float, unit: str = "", *, digits: int = 2) -> Target:
    """A figure that must not be larger."""
    return Target(what, f"≤ {limit:,g}{unit}", f"{found:,.{digits}f}{unit}", found <= limit)


@dataclass(frozen=True)
class Comparison:
    """The saturation runs of everybody."""

    runs: dict[str, list[Saturation]]

    def rate(self, name: str) -> Figure:
        """Polls per second."""
        return Figure(tuple(run.rate for run in self.runs[name]))

    def cpu(self, name: str) -> Figure:
        """CPU per poll, milliseconds."""
        return Figure(tuple(run.cpu for run in self.runs[name]))

    def best(self, names: Sequence[str]) -> str:
        """Whoever of these polls most per second."""
        return max((name for name in names if name in self.runs), key=lambda name: self.rate(name).median)

    def targets(self) -> list[Target]:
        """What was asked of the comparison."""
        ours, cpu = self.rate(SETTLE), self.cpu(SETTLE)
        celery, durable, quicker = self.best(CELERY), self.best(WITH_HTTPX), self.best(WITH_AIOHTTP)
        wanted = [
            (f"polls/s ÷ plain Celery in its best pool ({celery})", celery, 12.0),
            (f"polls/s ÷ the best durable peer with httpx ({durable})", durable, 5.0),
            (f"polls/s ÷ the best durable peer with aiohttp ({quicker})", quicker, 5.0),
            ("polls/s ÷ the asyncio + httpx loop", HTTPX, 4.0),
            ("polls/s ÷ the asyncio + aiohttp loop", AIOHTTP, 0.5),
        ]
        targets = [at_least(what, ours.over(self.rate(name)).median, limit) for what, name, limit in wanted]
        ratio = cpu.over(self.cpu(HTTPX)).median
        return [*targets, at_most("CPU per poll ÷ the asyncio + httpx loop", ratio, 0.4)]
