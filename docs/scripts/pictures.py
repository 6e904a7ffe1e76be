"""Draws `docs/images/`: the states of a job, and what waiting costs. Plain SVG, from the code and from our own table.

`make reference` runs it; a test compares the pictures with what it would draw.
"""

from __future__ import annotations

import re
from html import escape
from math import log10
from pathlib import Path

from jobs.states import MOVES, TERMINAL, JobState

S = JobState

DOCS = Path(__file__).parents[1]
IMAGES = DOCS / "images"

_INK, _PALE, _BLUE, _GREY = "#222222", "#eef2f7", "#1769aa", "#9aa5b1"
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n<title>{title}</title>\n'
    "<style>text {{ font: 13px sans-serif; fill: #222222 }}</style>\n"
    '<rect width="{width}" height="{height}" fill="#ffffff"/>'
)
_ARROW = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker></defs>'
)

#: Column and row of the states that a job passes on its way; the other ends are rows of dots beneath.
_PLACES = {
    S.ACCEPTED: (0, 1),
    S.SUBMITTING: (1, 1),
    S.IN_DOUBT: (2, 2),
    S.POLLING: (3, 1),
    S.FETCHING: (4, 1),
    S.VERIFYING: (5, 1),
    S.EMITTING: (6, 1),
    S.SUCCEEDED: (7, 1),
}
_ENDS = (S.FAILED, S.EXPIRED, S.CANCELLED)
_WIDE, _STEP, _BOX, _TALL, _LEFT = 84, 112, 30, 74, 96


def _middle(state: JobState) -> tuple[int, int]:
    column, row = _PLACES[state]
    return _LEFT + column * _STEP + _WIDE // 2, 30 + (row - 1) * _TALL + 40


def _line(source: JobState, target: JobState) -> str:
    """An arrow: straight to the next column, in an arc over the states between, up and down to the doubt."""
    (x, y), (to_x, to_y) = _middle(source), _middle(target)
    half, tall = _WIDE // 2, _BOX // 2
    between = [other for other in _PLACES if x < _middle(other)[0] < to_x and _middle(other)[1] == y]
    if y == to_y and to_x > x and not between:
        path = f"M{x + half} {y}H{to_x - half}"
    elif y == to_y and to_x > x:
        top = y - tall - 12 * (_PLACES[target][0] - _PLACES[source][0])
        path = f"M{x + 16} {y - tall}C{x + 30} {top} {to_x - 30} {top} {to_x - 6} {y - tall}"
    elif y == to_y:
        path = f"M{x - 16} {y + tall}C{x - 26} {y + tall + 26} {to_x + 26} {y + tall + 26} {to_x + 16} {y + tall}"
    elif to_y > y:
        path = f"M{x + 24} {y + tall}L{to_x - half} {to_y - 4}"
    elif to_x < x:
        path = f"M{x - half} {to_y + (to_y != y) * (y - to_y) + 6}L{to_x + 4} {to_y + tall}"
    else:
        path = f"M{x + half} {y - 6}L{to_x - 20} {to_y + tall}"
    return f'<path d="{path}" fill="none" stroke="{_INK}" marker-end="url(#a)"/>'


def states() -> str:
    """The way of a job from left to right, and under each state the ends that it may come to."""
    width, top = _LEFT + len(_PLACES) * _STEP, 30 + _TALL + 96
    parts = [_HEAD.format(width=width, height=top + 28 * len(_ENDS) + 8, title="The states of a job"), _ARROW]
    for source, targets in MOVES.items():
        parts += [_line(source, target) for target in S if target in targets and target in _PLACES]
    for state in _PLACES:
        x, y = _middle(state)
        fill = _BLUE if state in TERMINAL else _PALE
        colour = ' style="fill:#ffffff"' if state in TERMINAL else ""
        parts += [
            (
                f'<rect x="{x - _WIDE // 2}" y="{y - _BOX // 2}" width="{_WIDE}" height="{_BOX}" rx="6" fill="{fill}" '
                f'stroke="{_INK}"/>'
            ),
            f'<text x="{x}" y="{y + 5}" text-anchor="middle"{colour}>{state.value}</text>',
        ]
    for row, end in enumerate(_ENDS):
        y = top + 28 * row
        parts += [
            f'<path d="M{_LEFT} {y}H{width - 28}" stroke="{_GREY}" stroke-dasharray="2 4"/>',
            f'<text x="{_LEFT - 8}" y="{y + 5}" text-anchor="end">{end.value}</text>',
        ]
        for state in _PLACES:
            if end in MOVES[state]:
                dot = f'<circle cx="{_middle(state)[0]}" cy="{y}" r="6" fill="{_INK}">'
                parts.append(f"{dot}<title>{state} to {end}</title></circle>")
    return "\n".join([*parts, "</svg>", ""])


def copies() -> list[int]:
    """How often each attempt ran, from the table of `why-countdowns-wait.md`."""
    page = (DOCS / "why-countdowns-wait.md").read_text()
    return [int(cell) for cell in re.findall(r"^\| \d+ \| (\d+) \| 1 \|$", page, re.M)]


def waiting() -> str:
    """How often each poll of one job ran, with countdowns in messages and in the ledger; the axis is logarithmic."""
    values = copies()
    width, height, left, bottom = 560, 60 + 26 * len(values), 90, 34
    title = "How often each poll of one job ran (countdown 12 s, visibility timeout 5 s)"
    parts = [
        _HEAD.format(width=width, height=height, title=escape(title)),
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    longest = len(str(max(values)))
    for row, value in enumerate(values):
        y = bottom + 26 * row
        # A decade of the axis has the same length everywhere: these numbers are powers.
        length = (width - left - 70) * _decades(value) / longest
        parts += [
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">poll {row + 1}</text>',
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="8" fill="{_GREY}"/>',
            f'<rect x="{left}" y="{y + 9}" width="4" height="8" fill="{_BLUE}"/>',
            f'<text x="{left + length + 6:.1f}" y="{y + 12}">{value:,}</text>',
        ]
    y = height - 14
    parts += [
        f'<rect x="{left}" y="{y - 9}" width="10" height="8" fill="{_GREY}"/>',
        f'<text x="{left + 16}" y="{y}">self.retry(countdown=…)</text>',
        f'<rect x="{left + 200}" y="{y - 9}" width="10" height="8" fill="{_BLUE}"/>',
        f'<text x="{left + 216}" y="{y}">Settle: 1 each (logarithmic axis)</text>',
    ]
    return "\n".join([*parts, "</svg>", ""])


def _decades(value: int) -> float:
    """The logarithm to the base of ten, plus one tenth so that a one is seen."""
    return log10(value) + 0.1


PICTURES = {"states.svg": states, "waiting.svg": waiting}


def main() -> None:
    """Draw every picture."""
    for name, picture in PICTURES.items():
        (IMAGES / name).write_text(picture())


if __name__ == "__main__":
    main()
