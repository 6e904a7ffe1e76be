"""The plot: polls per second and CPU per poll of everybody, as plain SVG."""

from __future__ import annotations

from html import escape

from benchmarks.results import Comparison
from benchmarks.saturation import SETTLE

_ROW, _LEFT, _WIDTH, _TOP = 26, 190, 270, 46


def svg(comparison: Comparison) -> str:
    """Two bar charts side by side, one row per contender, whiskers from the lowest to the highest round."""
    names = sorted(comparison.runs, key=lambda name: -comparison.rate(name).median)
    height = _TOP + _ROW * len(names) + 16
    total = _LEFT + 2 * (_WIDTH + 90)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}">',
        "<style>text { font: 13px sans-serif; fill: #222222 }</style>",
        f'<rect width="{total}" height="{height}" fill="#ffffff"/>',
    ]
    charts = (
        ("polls per second (more is better)", comparison.rate, "{:,.0f}"),
        ("CPU per poll, ms (less is better)", comparison.cpu, "{:.2f}"),
    )
    for column, (title, figure, form) in enumerate(charts):
        left = _LEFT + column * (_WIDTH + 90)
        parts.append(f'<text x="{left}" y="24" font-weight="bold" fill="#222222">{escape(title)}</text>')
        longest = max(max(figure(name).values) for name in names)
        for row, name in enumerate(names):
            y, values = _TOP + row * _ROW, figure(name).values
            colour = "#1769aa" if name == SETTLE else "#9aa5b1"
            length, low, high = (_WIDTH * value / longest for value in (figure(name).median, min(values), max(values)))
            if not column:
                weight = ' font-weight="bold"' if name == SETTLE else ""
                parts.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end"{weight}>{escape(name)}</text>')
            parts += [
                f'<rect x="{left}" y="{y}" width="{max(length, 1):.1f}" height="18" fill="{colour}"/>',
                f'<path d="M{left + low:.1f} {y + 9}H{left + high:.1f}" stroke="#222222"/>',
                f'<text x="{left + high + 6:.1f}" y="{y + 14}">{form.format(figure(name).median)}</text>',
            ]
    return "\n".join([*parts, "</svg>", ""])
