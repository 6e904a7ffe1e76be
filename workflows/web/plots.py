"""The figures of the plots: places on a canvas, computed here and drawn by the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.search import Overview
from jobs.states import UNFINISHED, JobState
from workflows.web.feed import SAMPLED, SAMPLES, Sample

#: The canvas of the lateness, in its own units; below it a strip for each provider's gate.
WIDTH, HEIGHT, STRIP = 900, 90, 8
#: Seconds that it shows at most, and at least.
SPAN, SHORTEST = SAMPLED * SAMPLES, 60.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar or a strip."""

    x: float
    width: float
    kind: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn of one provider."""

    provider: str
    number: int  #: of its colour
    points: str  #: of its lateness
    gate: tuple[Piece, ...]
    strip: float  #: where its gate's strip begins


@dataclass(frozen=True, slots=True)
class Lateness:
    """Lateness and gates over time."""

    lines: tuple[Line, ...]
    top: float  #: what the upper edge stands for, seconds
    span: float  #: what the whole width stands for, seconds
    height: float  #: of all, strips included


def bar(found: Overview, most: int) -> tuple[Piece, ...]:
    """Where a provider's unfinished jobs are, as a bar of 100 units.

    Args:
        found: its counts.
        most: how many jobs the whole length stands for.
    """
    pieces, x = [], 0.0
    for state in JobState:
        if state in UNFINISHED and (count := found.counts.get(state, 0)):
            width = 100 * count / max(most, 1)
            pieces.append(Piece(round(x, 3), round(width, 3), state.value, count))
            x += width
    return tuple(pieces)


def lateness(samples: Sequence[Sample]) -> Lateness:
    """How late jobs were, and where the gates stood, until the last sample."""
    if not samples:
        return Lateness((), 1.0, SHORTEST, HEIGHT)
    end = samples[-1].at
    shown = [sample for sample in samples if sample.at > end - SPAN]
    span = min(max(end - shown[0].at, SHORTEST), SPAN)
    top = max(1.0, *(each.lateness for sample in shown for each in sample.overviews))
    lines = []
    for number, provider in enumerate(each.provider for each in shown[-1].overviews):
        points, gate = [], list[Piece]()
        for sample in shown:
            found = next((each for each in sample.overviews if each.provider == provider), None)
            if found is None:
                continue
            x = round(WIDTH * (1 - (end - sample.at) / span), 1)
            points.append(f"{x},{round(HEIGHT * (1 - found.lateness / top), 1)}")
            if gate and gate[-1].kind == found.gate:
                gate[-1] = Piece(gate[-1].x, round(x - gate[-1].x, 1), found.gate.value)
            else:
                begin = round(gate[-1].x + gate[-1].width, 1) if gate else x
                gate.append(Piece(begin, max(round(x - begin, 1), 1.0), found.gate.value))
        lines.append(Line(provider, number % 8, " ".join(points), tuple(gate), HEIGHT + 6 + number * (STRIP + 4)))
    return Lateness(tuple(lines), top, span, HEIGHT + 6 + len(lines) * (STRIP + 4))
