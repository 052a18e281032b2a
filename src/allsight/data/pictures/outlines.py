"""Polygons and run-length codes to instance masks, each decoded only where it lies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

from allsight.errors import AnnotationError
from allsight.scene import Masks

REACH = 8  # sides of its picture that a vertex may lie away from it: drawing takes memory by the length of the outline


def drawable(outline: Any, size: tuple[int, int]) -> bool:
    """Whether an outline is made of rings of finite numbers near its picture, or a run-length code of its size.

    Args:
        outline: as `draw_outlines` takes it, or whatever a file has in its place. size: (height, width) of the picture.
    """
    if isinstance(outline, dict):
        written, counts = outline.get("size"), outline.get("counts")
        fits = isinstance(written, list | tuple) and list(written) == list(size)
        if isinstance(counts, list):
            whole = all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in counts)
            return fits and whole and sum(counts) == size[0] * size[1]
        return fits and isinstance(counts, str | bytes)
    return isinstance(outline, list) and bool(outline) and all(_near(ring, size) for ring in outline)


def _near(ring: Any, size: tuple[int, int]) -> bool:
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        return False
    limit = REACH * max(size)
    return all(isinstance(value, int | float) and -limit <= value <= limit + max(size) for value in ring)


def draw_outlines(outlines: Sequence[Any], size: tuple[int, int]) -> Masks:
    """Draw the masks of one picture.

    Args:
        outlines: per instance a list of rings [x1, y1, x2, y2, ...] in pixels, or a COCO run-length code.
        size: (height, width) of the picture.

    Returns:
        One mask each, by COCO's rules for polygons.

    Raises:
        AnnotationError: a run-length code that does not fit the picture, or a ring that reaches far beyond it.
    """
    bits: list[np.ndarray] = []
    windows = np.zeros((len(outlines), 4), dtype=np.int64)
    for i, outline in enumerate(outlines):
        try:
            code = _code(outline, size)
            left, top, width, height = (int(v) for v in coco.toBbox(code))
            mask = coco.decode(code)[top : top + height, left : left + width]
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise AnnotationError(f"the outline of object {i} cannot be drawn ({error}); mend or remove it") from None
        windows[i] = left, top, left + width, top + height
        bits.append(mask.ravel())
    packed = torch.from_numpy(np.concatenate(bits) if bits else np.zeros(0, dtype=np.uint8)).bool()
    return Masks(packed, torch.from_numpy(windows), size)


def _code(outline: Any, size: tuple[int, int]) -> dict[str, Any]:
    if not drawable(outline, size):
        raise ValueError(f"it reaches too far beyond its picture of {size[1]}x{size[0]} or does not fit it")
    if isinstance(outline, list):
        return coco.merge(coco.frPyObjects([list(map(float, ring)) for ring in outline], *size))
    return coco.frPyObjects(outline, *size) if isinstance(outline["counts"], list) else outline
