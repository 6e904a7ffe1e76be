"""Makes a moving picture of a recording: asciicast v2 in, one SVG out that needs no player and no script.

Run with the packages of `docs/requirements.lock`: `python docs/scripts/play.py FILE.cast FILE.svg`.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

import pyte

#: A character, a line, and the room around, in units of the picture.
_WIDE, _TALL, _EDGE = 8.0, 18.0, 12.0

#: No two pictures are closer than this, no pause is longer than that, and the last one stays, seconds.
_CLOSEST, _LONGEST, _STAYS = 0.25, 1.5, 6.0

_COLOURS = {
    "default": "#d6dde6",
    "black": "#1d2530",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#f2cc60",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#ffffff",
    "brightblack": "#8b98a8",
}

Line = tuple[tuple[int, str, str, bool], ...]  # runs of one style: column, text, colour, bold


def frames(cast: str) -> tuple[int, list[tuple[float, list[Line]]]]:
    """The width of the terminal, and what is on it from which second on."""
    head, *events = map(json.loads, cast.splitlines())
    screen = pyte.Screen(head["width"], head["height"])
    stream = pyte.Stream(screen)
    found: list[tuple[float, list[Line]]] = []
    shown, last = 0.0, 0.0
    for place, (at, _, text) in enumerate(events):
        stream.feed(text)
        shown += min(at - last, _LONGEST)
        last = at
        lines = [_line(screen, row) for row in range(head["height"])]
        if found and lines == found[-1][1]:
            continue
        if found and shown - found[-1][0] < _CLOSEST and place < len(events) - 1:
            found[-1] = (found[-1][0], lines)
        else:
            found.append((shown, lines))
    tall = max(row + 1 for _, lines in found for row, line in enumerate(lines) if line)
    return head["width"], [(at, lines[:tall]) for at, lines in found]


def _line(screen: pyte.Screen, row: int) -> Line:
    runs: list[tuple[int, str, str, bool]] = []
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        colour = _COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else _COLOURS["default"])
        if runs and runs[-1][2:] == (colour, cell.bold):
            runs[-1] = (runs[-1][0], runs[-1][1] + cell.data, colour, cell.bold)
        else:
            runs.append((column, cell.data, colour, cell.bold))
    return tuple(run for run in runs if run[1].strip())


def _text(line: Line) -> str:
    parts = []
    for column, text, colour, bold in line:
        lead = len(text) - len(text.lstrip())
        word = text.strip()
        x, length = (column + lead) * _WIDE, len(word) * _WIDE
        style = ' font-weight="bold"' if bold else ""
        parts.append(f'<text x="{x:g}" textLength="{length:g}" fill="{colour}"{style}>{escape(word)}</text>')
    return "".join(parts)


def svg(cast: str) -> str:
    """The picture: every different line once, the screens as a strip of film, and a step from one to the next."""
    columns, strip = frames(cast)
    lines = list(dict.fromkeys(line for _, screen in strip for line in screen if line))
    number = {line: place for place, line in enumerate(lines)}
    tall = len(strip[0][1]) * _TALL
    width, height = columns * _WIDE + 2 * _EDGE, tall + 2 * _EDGE
    length = strip[-1][0] + _STAYS
    steps = "".join(
        f"{at / length:.3%}{{transform:translateY({-place * tall:g}px)}}" for place, (at, _) in enumerate(strip)
    )
    end = f"translateY({-(len(strip) - 1) * tall:g}px)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{escape(json.loads(cast.splitlines()[0])['title'])}</title>",
        "<style>text { font: 13.3px 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre }",
        f"#film {{ animation: play {length:.1f}s step-end infinite }}",
        f"@keyframes play {{ {steps} }}",
        f"@media (prefers-reduced-motion: reduce) {{ #film {{ animation: none; transform: {end} }} }}</style>",
        "<defs>",
        *(f'<g id="l{place}">{_text(line)}</g>' for place, line in enumerate(lines)),
        "</defs>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#10161f"/>',
        f'<svg x="{_EDGE:g}" y="{_EDGE:g}" width="{columns * _WIDE:g}" height="{tall:g}"><g id="film">',
    ]
    for place, (_, screen) in enumerate(strip):
        rows = ((place * tall + row * _TALL + 13, line) for row, line in enumerate(screen) if line)
        parts.append("".join(f'<use href="#l{number[line]}" y="{y:g}"/>' for y, line in rows))
    return "\n".join([*parts, "</g></svg></svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(svg(Path(sys.argv[1]).read_text()))
