"""Several pictures on one sheet, each with its caption."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from allsight.draw.canvas import font, interleaved, planar, text_width
from allsight.draw.palette import DARK, LIGHT
from allsight.draw.scene import draw
from allsight.scene import Scene


def contact_sheet(pictures: Sequence[Tensor], captions: Sequence[str], *, columns: int = 3, cell: int = 480) -> Tensor:
    """Set pictures in rows, each fitted into the width and height of a cell, with its caption underneath.

    Args:
        pictures: (3, H, W) uint8 each, of any size.
        captions: one line a picture; long ones are cut.
        columns: pictures in a row. cell: pixels of the longer side of a picture.

    Returns:
        (3, H, W) uint8.
    """
    columns = max(1, min(columns, len(pictures)))
    letters, gap = max(12, cell // 28), max(4, cell // 40)
    line = round(letters * 1.6) if any(captions) else 0
    images = [_fitted(picture, cell) for picture in pictures]
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(image.height for image in row) for row in rows]
    high = sum(heights) + len(rows) * (line + gap) + gap
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, high), DARK)
    pen = ImageDraw.Draw(sheet)
    top = gap
    for row, height, start in zip(rows, heights, range(0, len(images), columns), strict=True):
        for column, image in enumerate(row):
            left = gap + column * (cell + gap)
            sheet.paste(image, (left + (cell - image.width) // 2, top + (height - image.height) // 2))
            text = _cut(captions[start + column], letters, cell)
            pen.text((left + cell / 2, top + height + line / 2), text, fill=LIGHT, font=font(letters), anchor="mm")
        top += height + line + gap
    return planar(np.asarray(sheet))


def beside(picture: Tensor, truth: Scene, prediction: Scene) -> Tensor:
    """Draw the truth on the left and the prediction on the right.

    Args:
        picture: (3, H, W) uint8 RGB.
        truth, prediction: Scenes of that size.

    Returns:
        (3, H', W') uint8.
    """
    pair = [draw(picture, scene) for scene in (truth, prediction)]
    return contact_sheet(pair, ["truth", "prediction"], columns=2, cell=max(max(p.shape[1:]) for p in pair))


def _fitted(picture: Tensor, cell: int) -> Image.Image:
    image = Image.fromarray(interleaved(picture))
    scale = cell / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _cut(text: str, letters: int, width: float) -> str:
    if text_width(text, letters) <= width:
        return text
    while text and text_width(text + "...", letters) > width:
        text = text[:-1]
    return text + "..."
