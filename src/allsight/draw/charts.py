"""Small charts for reports, as SVG text: curves with intervals, and confusion matrices."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allsight.draw.palette import PALETTE, ink_on, to_hex
from allsight.text import visible

_INK, _FAINT, _REFERENCE = "#24272c", "#d9dbe0", "#9a9ea6"
_STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:12px;"
    f"fill:{_INK}}}.title{{font-size:15px;font-weight:600}}"
)
_WIDTH, _HEIGHT = 420, 300  # of the plot itself, without what stands around it
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 44, 24, 56
_LETTER = 6.8  # mean width of a 12 px letter


@dataclass(frozen=True, eq=False)
class Line:
    """One curve.

    Args:
        name: for the legend. x, y: (K,) points, from left to right.
        low, high: (K,) ends of an interval around y, or None.
        markers: whether the points themselves are shown, because only they were measured.
        reference: whether nothing was measured at all: it is drawn in grey, to compare with.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    markers: bool = False
    reference: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_title: str,
    y_title: str,
    x_range: tuple[float, float] = (0, 1),
    y_range: tuple[float, float] = (0, 1),
    logarithmic: bool = False,
) -> str:
    """Return a chart of curves: precision over recall, score over the number of labelled pictures.

    Args:
        lines: the curves, each in a colour of its own.
        title, x_title, y_title: what is written at the chart and at its axes.
        x_range, y_range: what the axes show.
        logarithmic: whether equal ratios of x take equal room; the ticks are then the points that were measured.

    Returns:
        SVG.
    """

    def across(x: ArrayLike) -> NDArray[np.float64]:
        values, ends = np.asarray(x, dtype=float), np.asarray(x_range, dtype=float)
        if logarithmic:
            values, ends = np.log(values), np.log(ends)
        return _LEFT + (values - ends[0]) / (ends[1] - ends[0]) * _WIDTH

    def down(y: ArrayLike) -> NDArray[np.float64]:
        return _TOP + (1 - (np.asarray(y, dtype=float) - y_range[0]) / (y_range[1] - y_range[0])) * _HEIGHT

    x_ticks = sorted({float(x) for line in lines for x in np.asarray(line.x)}) if logarithmic else ticks(*x_range)
    parts = _axes(
        list(zip(across(x_ticks).tolist(), x_ticks, strict=True)),
        [(y, value) for value, y in zip(ticks(*y_range), down(ticks(*y_range)).tolist(), strict=True)],
        (title, x_title, y_title),
    )
    for line, colour in zip(lines, _colours(lines), strict=True):
        x, y = across(line.x), down(line.y)
        if line.low is not None and line.high is not None:
            around = np.concatenate([np.stack([x, down(line.low)], 1), np.stack([x, down(line.high)], 1)[::-1]])
            parts.append(f'<polygon points="{_points(around)}" fill="{colour}" opacity="0.18"/>')
        path = _points(np.stack([x, y], 1))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        )
        if line.markers:
            dots = zip(x.tolist(), y.tolist(), strict=True)
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in dots]
    right = _LEFT + _WIDTH + _RIGHT
    for place, (line, colour) in enumerate(zip(lines, _colours(lines), strict=True)):
        middle = _TOP + 8 + 20 * place
        parts.append(f'<rect x="{right}" y="{middle - 5}" width="14" height="4" fill="{colour}"/>')
        parts.append(_text(right + 20, middle + 1, line.name))
    legend = 36 + _LETTER * max((len(line.name) for line in lines), default=0)
    high = max(_TOP + _HEIGHT + _BOTTOM, _TOP + 20 * len(lines) + 20)
    return _svg(right + legend, high, parts)


def confusion_chart(matrix: ArrayLike, names: Sequence[str], *, title: str = "Confusion") -> str:
    """Return a chart of a confusion matrix: the darker a cell, the larger its share of the row.

    Args:
        matrix: (C, C) counts, rows are the truth, columns what was predicted.
        names: of the C classes.
        title: what is written above.

    Returns:
        SVG; counts are written into the cells of up to 20 classes.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 44 if len(names) <= 20 else 17
    left = 40 + _LETTER * max(map(len, names))
    lean = _LETTER * max(map(len, names)) * 0.71 + 16
    top = 54 + lean
    parts = [_text(16, 26, title, css="title")]
    parts.append(_text(left + len(names) * side / 2, 46, "predicted", anchor="middle"))
    parts.append(_text(16, top + len(names) * side / 2, "truth", anchor="middle", turn=-90))
    for i, name in enumerate(names):
        middle = i * side + side / 2
        parts.append(_text(left - 8, top + middle + 4, name, anchor="end"))
        parts.append(_text(left + middle + 4, top - 8, name, turn=-45))
    for i, row in enumerate(shares):
        for j, share in enumerate(row.tolist()):
            red, green, blue = (round(255 + (end - 255) * share**0.7) for end in (0, 84, 140))
            x, y = left + j * side, top + i * side
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{side - 1}" height="{side - 1}"'
                f' fill="{to_hex((red, green, blue))}" stroke="{_FAINT}" stroke-width="0.5"/>'
            )
            if side > 20 and counts[i, j]:
                ink = to_hex(ink_on((red, green, blue)))
                text = _text(x + side / 2, y + side / 2 + 4, str(counts[i, j]), anchor="middle", fill=ink)
                parts.append(text)
    return _svg(left + len(names) * side + lean + 16, top + len(names) * side + 20, parts)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers between two ends: steps of 1, 2 or 5 times a power of ten.

    Args:
        low, high: the ends. about: how many are wanted.
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _axes(
    x_ticks: list[tuple[float, float]], y_ticks: list[tuple[float, float]], titles: tuple[str, str, str]
) -> list[str]:
    """Draw grid, ticks and titles; ticks are (place in pixels, value)."""
    floor, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    parts = [_text(_LEFT, 26, titles[0], css="title")]
    for x, value in x_ticks:
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{floor}" stroke="{_FAINT}"/>')
        parts.append(_text(x, floor + 18, f"{value:g}", anchor="middle"))
    for y, value in y_ticks:
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{_FAINT}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    parts.append(_text(_LEFT + _WIDTH / 2, floor + 42, titles[1], anchor="middle"))
    parts.append(_text(18, _TOP + _HEIGHT / 2, titles[2], anchor="middle", turn=-90))
    return parts


def _colours(lines: Sequence[Line]) -> list[str]:
    """Return colours for lines on white: yellow and the tints would hardly show."""
    strong = cycle(to_hex(colour) for i, colour in enumerate(PALETTE) if i != 4 and not 7 <= i < 14)
    return [_REFERENCE if line.reference else next(strong) for line in lines]


def _points(points: NDArray[np.float64]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())


def _text(x: float, y: float, text: str, *, anchor: str = "start", turn: int = 0, css: str = "", fill: str = "") -> str:
    extra = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    extra += f' class="{css}"' if css else ""
    extra += f' style="fill:{fill}"' if fill else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(visible(text))}</text>'


def _svg(width: float, height: float, parts: list[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    body = "\n".join([f"<style>{_STYLE}</style>", background, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'
