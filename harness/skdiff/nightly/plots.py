"""Plots: lines over numbers or dates as inline SVG, drawn for a phone's width; colours come from the page's style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 26
COLOURS = 6  # that the style has


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name, and its points in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def short(value: float) -> str:
    """A number for an axis: 1500 is 1.5k."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def day(value: float) -> str:
    """A time in seconds since 1970 for an axis."""
    return datetime.fromtimestamp(value).strftime("%m-%d")


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that span a range, `count` of them or a few more."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    span = high - low
    power = 10.0 ** floor(log10(span / count))
    step = next(step * power for step in (1, 2, 5, 10) if span / (step * power) <= count)
    return [i * step for i in range(floor(low / step), ceil(high / step) + 1)]


def plot(
    title: str, lines: Sequence[Line], x_name: str, x_text: Callable[[float], str] = short, from_zero: bool = True
) -> str:
    """A plot with its legend as HTML; "" if there is no line with two points. The y axis starts at 0, or, for what
    hardly changes, around the lowest value.
    """
    lines = [line for line in lines if len(line.points) > 1][:COLOURS]
    if not lines:
        return ""
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    x_low, x_high = min(xs), max(xs)
    y_ticks = ticks(0, max(ys)) if from_zero else ticks(max(0, min(ys) - 2), max(ys) + 2)  # of whole numbers
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def at(x: float, y: float) -> str:
        across = _LEFT + (WIDTH - _LEFT - _RIGHT) * ((x - x_low) / ((x_high - x_low) or 1.0))
        return f"{across:.1f},{HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * ((y - y_low) / (y_high - y_low)):.1f}"

    parts = []
    for value in y_ticks:
        (left, up), (right, _) = (at(x, value).split(",") for x in (x_low, x_high if x_high > x_low else x_low + 1))
        parts.append(f'<path class="grid" d="M{left} {up}H{right}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 5}" y="{float(up) + 4:.1f}">{escape(short(value))}</text>')
    for value, anchor in ((x_low, "start"), ((x_low + x_high) / 2, "middle"), (x_high, "end")):
        left = at(value, y_low).split(",")[0]
        text = escape(x_text(value)) + (f" {escape(x_name)}" if anchor == "end" else "")
        parts.append(f'<text x="{left}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text}</text>')
    for number, line in enumerate(lines):
        way = " ".join(at(x, y) for x, y in line.points)
        parts.append(f'<polyline class="line c{number}" points="{way}"/>')
        if len(line.points) < 20:
            parts += [
                f'<circle class="dot c{number}" cx="{x}" cy="{y}" r="2.5"/>'
                for x, y in (at(*point).split(",") for point in line.points)
            ]
    keys = "".join(f'<span><i class="c{n}"></i>{escape(line.name)}</span>' for n, line in enumerate(lines))
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg><div class="legend">{keys}</div></figure>'
    )
