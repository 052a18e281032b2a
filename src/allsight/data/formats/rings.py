"""Shapes that annotators draw, as rings of an outline and the boxes around them."""

import math
from collections.abc import Iterable, Sequence

CORNERS = 64  # of a polygon that stands for an ellipse: its area is 0.2% too small

Box = tuple[float, float, float, float]


def around(rings: Sequence[Sequence[float]]) -> Box:
    """Return x1, y1, x2, y2 of the box around rings, each x1, y1, x2, y2, ..."""
    xs = [x for ring in rings for x in ring[::2]]
    ys = [y for ring in rings for y in ring[1::2]]
    return (min(xs), min(ys), max(xs), max(ys))


def ring_of(points: Iterable[Sequence[float]]) -> list[float]:
    """Return points as one ring x1, y1, x2, y2, ..."""
    return [float(value) for point in points for value in (point[0], point[1])]


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> list[float]:
    """Return a ring around a centre.

    Args:
        x, y: the centre. rx, ry: the radii. turn: clockwise, in degrees.
    """
    angles = [2 * math.pi * i / CORNERS for i in range(CORNERS)]
    return turned([v for a in angles for v in (x + rx * math.cos(a), y + ry * math.sin(a))], (x, y), turn)


def turned(ring: Sequence[float], centre: tuple[float, float], degrees: float) -> list[float]:
    """Return a ring turned clockwise (as pictures are seen, y down) about a centre."""
    if not degrees:
        return list(ring)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    out: list[float] = []
    for x, y in zip(ring[::2], ring[1::2], strict=True):
        dx, dy = x - centre[0], y - centre[1]
        out += [centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine]
    return out


def corners(box: Sequence[float]) -> list[float]:
    """Return the ring of a box x1, y1, x2, y2."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]
