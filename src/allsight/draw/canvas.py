"""A picture to draw on, with lines and letters that fit its size."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from allsight.draw.palette import DARK, LIGHT, Colour, ink_on
from allsight.text import visible

Rectangle = tuple[float, float, float, float]


@lru_cache(maxsize=32)
def font(size: int) -> Any:
    """Return Pillow's own scalable font at a size in pixels."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> float:
    """Return how many pixels a line of text takes."""
    return float(font(size).getlength(visible(text)))


def interleaved(picture: Tensor) -> NDArray[np.uint8]:
    """Return a picture (3, H, W) as a new array (H, W, 3), plane by plane, which is faster than all at once."""
    pixels = np.empty((*picture.shape[1:], 3), dtype=np.uint8)
    for channel, plane in enumerate(picture.numpy()):
        pixels[..., channel] = plane
    return pixels


def planar(pixels: NDArray[np.uint8]) -> Tensor:
    """Return an array (H, W, 3) as a new picture (3, H, W)."""
    picture = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    for channel, plane in enumerate(picture):
        plane[...] = pixels[..., channel]
    return torch.from_numpy(picture)


class Canvas:
    """A picture and a pen.

    Args:
        picture: (3, H, W) uint8 RGB.
    """

    def __init__(self, picture: Tensor) -> None:
        self.pixels = interleaved(picture)
        self.height, self.width = self.pixels.shape[:2]
        longest = max(self.height, self.width)
        self.line = max(2, round(longest / 360))
        self.letters = max(12, round(longest / 46))
        self.padding = max(2, self.letters // 5)
        self._taken = np.zeros((0, 4))
        self._image: Image.Image | None = None

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """Pillow's pen; from its first use on, `pixels` is frozen."""
        if self._image is None:
            self._image = Image.fromarray(self.pixels)
            self._pen = ImageDraw.Draw(self._image)
        return self._pen

    def finished(self) -> Tensor:
        """Return the picture, (3, H, W) uint8."""
        return planar(self.pixels if self._image is None else np.asarray(self._image))

    def box(self, corners: Rectangle, colour: Colour, *, dashed: bool = False) -> None:
        """Outline a box, with a thin dark rim so that it shows on any background."""
        x1, y1, x2, y2 = (round(c) for c in corners)
        x2, y2 = max(x1, min(x2, self.width) - 1), max(y1, min(y2, self.height) - 1)
        wide = min(self.line, max(1, (min(x2 - x1, y2 - y1) + 1) // 4))
        rim = 1 if wide > 1 else 0
        if not dashed:
            self.pen.rectangle((x1 - rim, y1 - rim, x2 + rim, y2 + rim), outline=DARK, width=wide + 2 * rim)
            self.pen.rectangle((x1, y1, x2, y2), outline=colour, width=wide)
            return
        for grown, ink in ((rim, DARK), (0, colour)):
            for x, y, right, down in self._dashes(x1, y1, x2, y2, wide):
                self.pen.rectangle((x - grown, y - grown, right + grown, down + grown), fill=ink)

    def _dashes(self, x1: int, y1: int, x2: int, y2: int, wide: int) -> list[tuple[int, int, int, int]]:
        """Return the dashes of a box as filled rectangles, each side with whole ones at both corners."""

        def along(start: int, end: int) -> list[tuple[int, int]]:
            pieces = 2 * round((end - start) / (10 * wide)) + 1
            edges = np.linspace(start, end, pieces + 1).round().astype(int).tolist()
            return list(zip(edges[0::2], edges[1::2], strict=True))

        rows = [(a, y, b, y + wide - 1) for a, b in along(x1, x2) for y in (y1, y2 - wide + 1)]
        return rows + [(x, a, x + wide - 1, b) for a, b in along(y1, y2) for x in (x1, x2 - wide + 1)]

    def label_area(self, text: str) -> float:
        """Return how many pixels a label covers."""
        wide, high = self._label_size(text)
        return wide * high

    def _label_size(self, text: str) -> tuple[float, float]:
        return text_width(text, self.letters) + 2 * self.padding, self.letters * 1.15 + self.padding

    def label(self, corners: Rectangle, text: str, colour: Colour) -> bool:
        """Write a label at a box where it covers no other label, or nowhere.

        Args:
            corners: the box. text: one line. colour: of the label's background.

        Returns:
            Whether there was room.
        """
        x1, y1, x2, y2 = corners
        wide, high = self._label_size(text)
        left, right = x1 - 1, x2 + 1 - wide
        for x, y in ((left, y1 - high), (left, y2), (right, y1 - high), (right, y2), (left, y1), (left, y2 - high)):
            x = min(max(x, 0), self.width - wide)
            place = (x, y, x + wide, y + high)
            if x >= 0 and y >= 0 and y + high <= self.height and not self._is_taken(place):
                self._write(place, text, colour)
                return True
        return False

    def label_at(self, point: tuple[float, float], text: str, colour: Colour) -> bool:
        """Write a label with its middle at a point (x, y), within the picture, where it covers no other label.

        Returns:
            Whether there was.
        """
        wide, high = self._label_size(text)
        x = min(max(point[0] - wide / 2, 0), self.width - wide)
        y = min(max(point[1] - high / 2, 0), self.height - high)
        place = (x, y, x + wide, y + high)
        if min(x, y) < 0 or self._is_taken(place):
            return False
        self._write(place, text, colour)
        return True

    def _is_taken(self, place: Rectangle) -> bool:
        x1, y1, x2, y2 = place
        other = self._taken
        return bool(((other[:, 0] < x2) & (other[:, 2] > x1) & (other[:, 1] < y2) & (other[:, 3] > y1)).any())

    def _write(self, place: Rectangle, text: str, colour: Colour) -> None:
        x1, y1, x2, y2 = (round(c) for c in place)
        self.pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
        middle = (x1 + self.padding, (y1 + y2) / 2)
        self.pen.text(middle, visible(text), fill=ink_on(colour), font=font(self.letters), anchor="lm")
        self._taken = np.concatenate([self._taken, np.array([place])])

    def dot(self, x: float, y: float, colour: Colour, *, hollow: bool = False) -> None:
        """Mark a point."""
        radius = 1.5 * self.line
        circle = (x - radius, y - radius, x + radius, y + radius)
        self.pen.ellipse(
            circle, fill=None if hollow else colour, outline=colour if hollow else DARK, width=self.line // 2
        )


def footer(picture: Tensor, entries: list[tuple[str, Colour | None]]) -> Tensor:
    """Set lines of text under a picture, where they cover nothing.

    Args:
        picture: (3, H, W) uint8.
        entries: short texts, each after a swatch of its colour if it has one; they share lines as they fit.

    Returns:
        (3, H + h, W) uint8.
    """
    width = picture.shape[2]
    letters = max(12, round(max(picture.shape[1:]) / 46))
    gap = letters // 2
    places: list[tuple[int, float]] = []
    line, x = 0, float(gap)
    for text, colour in entries:
        needed = text_width(text, letters) + (letters + gap if colour else 0)
        if x > gap and x + needed > width - gap:
            line, x = line + 1, float(gap)
        places.append((line, x))
        x += needed + 2 * gap
    high = round(letters * 1.6)
    strip = Image.new("RGB", (width, (line + 1) * high + gap), DARK)
    pen = ImageDraw.Draw(strip)
    for (text, colour), (row, left) in zip(entries, places, strict=True):
        middle = gap / 2 + (row + 0.5) * high
        if colour:
            pen.rectangle((left, middle - letters / 2, left + letters - 1, middle + letters / 2 - 1), fill=colour)
            left += letters + gap
        pen.text((left, middle), visible(text), fill=LIGHT, font=font(letters), anchor="lm")
    return torch.cat([picture, planar(np.asarray(strip))], dim=1)
