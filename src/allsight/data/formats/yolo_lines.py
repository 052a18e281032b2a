"""What the numbers of a YOLO line mean: the same count may be a box with more columns, an outline, or key points.

One line alone cannot say: six numbers behind the class are a triangle, or a box with its confidence and its track. All
lines of a split together can, so a layout is chosen for a split.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Layout = Literal["plain", "scored", "oriented", "pose", "unclear"]
RIGHT_ANGLE = 0.05  # cosine up to which corners count as right, and from which an edge counts as turned
WORDS: dict[Layout, str] = {
    "scored": "the lines have a confidence or a track behind the box, as predictions have; only the boxes are read",
    "oriented": "the lines are the four corners of oriented boxes; the upright boxes around them are read",
    "pose": "the lines have key points behind the box, which kpt_shape does not name; only the boxes are read",
    "unclear": "six numbers behind the class may be a triangle or a box with confidence and track",
}


@dataclass(frozen=True)
class Line:
    """One object as a line writes it, divided by the picture's size.

    Args:
        number: the class in the file.
        box: x1, y1, x2, y2.
        ring: x1, y1, x2, y2, x3, ... of an outline, or None.
        keypoints: x, y, visibility of every point.
    """

    number: int
    box: tuple[float, float, float, float]
    ring: list[float] | None = None
    keypoints: tuple[float, ...] = ()


def values_of(words: Sequence[str]) -> list[float] | None:
    """Return the numbers behind the class, or None if one is none."""
    try:
        return [float(word) for word in words[1:]]
    except ValueError:
        return None


def layout_of(lines: Sequence[tuple[Sequence[str], tuple[int, int]]]) -> Layout:
    """Return what the lines of a split are, where no `kpt_shape` says it.

    Args:
        lines: the words of every line, and the (height, width) of its picture.
    """
    rows = [(words, values, size) for words, size in lines if (values := values_of(words))]
    counts = {len(values) for _, values, _ in rows}
    if not rows or counts == {4}:
        return "plain"
    longer = [(words, values) for words, values, _ in rows if len(values) != 4]
    if counts <= {4, 5, 6} and all(_behind(words[5:]) for words, _ in longer):
        tracked = any(len(values) == 6 and values[5] > 1 for _, values in longer)
        if tracked or (5 in counts and 4 not in counts):
            return "scored"
        return "unclear" if 6 in counts else "plain"
    if counts == {8}:
        angles = [_rectangle(values, size) for _, values, size in rows]
        if all(angle is not None for angle in angles) and any(angle and angle > RIGHT_ANGLE for angle in angles):
            return "oriented"
    posed = len(counts) == 1 and min(counts) > 8 and (min(counts) - 4) % 3 == 0
    if posed and all(seen in (0, 1, 2) for _, values, _ in rows for seen in values[6::3]):
        return "pose"
    return "plain"


def _behind(words: Sequence[str]) -> bool:
    """Whether the columns behind a box are a confidence or a track, or first the one and then the other."""
    *first, last = words
    whole = last.lstrip("+-").isdigit()
    if first:
        return whole and 0 <= float(first[0]) <= 1
    return whole or 0 <= float(last) <= 1


def _rectangle(values: Sequence[float], size: tuple[int, int]) -> float | None:
    """Return how far four corners are turned, 0 for upright; None if they are no rectangle on a picture of `size`."""
    height, width = size
    points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
    edges = [(points[(i + 1) % 4][0] - x, points[(i + 1) % 4][1] - y) for i, (x, y) in enumerate(points)]
    lengths = [math.hypot(*edge) for edge in edges]
    if not all(1 < length < math.inf for length in lengths):
        return None
    for i, (x, y) in enumerate(edges):
        other = edges[(i + 1) % 4]
        # Corners are written with few digits: half a pixel on a short edge must not count as an angle.
        slack = RIGHT_ANGLE + 0.7 / min(lengths[i], lengths[(i + 1) % 4])
        if abs(x * other[0] + y * other[1]) / (lengths[i] * lengths[(i + 1) % 4]) > slack:
            return None
    return min(abs(edges[0][0]), abs(edges[0][1])) / lengths[0]


def read_line(words: Sequence[str], layout: Layout, shape: tuple[int, int] | None) -> Line | str:
    """Return what a line says, or what is wrong with it.

    Args:
        words: of the line. layout: of its split. shape: how many key points there are, of how many numbers each.
    """
    number, values = _class_number(words[0]), values_of(words)
    if values is None or math.isnan(number):
        return "is not a box"
    if number != int(number):
        return f"has the class {words[0]}, which is no whole number"
    count = len(values)
    if shape is not None:
        return _posed(int(number), values, shape)
    if layout == "unclear" and count == 6:
        return f"is not clear: {WORDS['unclear']}"
    if count == 4 or (layout == "scored" and count in (5, 6)) or layout == "pose":
        return Line(int(number), _box(values))
    if count >= 6 and count % 2 == 0:
        xs, ys = values[::2], values[1::2]
        return Line(int(number), (min(xs), min(ys), max(xs), max(ys)), None if layout == "oriented" else values)
    return "is not a box"


def _class_number(word: str) -> float:
    """Return the number of a class, NaN if it is none or one that no class has."""
    try:
        number = float(word)
    except ValueError:
        return math.nan
    return number if abs(number) < 2**31 else math.nan


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, w, h = values[:4]
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _posed(number: int, values: Sequence[float], shape: tuple[int, int]) -> Line | str:
    points, each = shape
    if len(values) not in (4, 4 + points * each):
        return f"has {len(values)} numbers, not 4 of a box and {points} x {each} of key points"
    flat: list[float] = []
    for i in range(points):
        point = values[4 + i * each : 4 + (i + 1) * each]
        x, y = (point[0], point[1]) if point else (0.0, 0.0)
        seen = point[2] if len(point) > 2 else (2.0 if x or y else 0.0)
        flat += [x, y, seen]
    return Line(number, _box(values), keypoints=tuple(flat))
