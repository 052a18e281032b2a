"""Polygons and run-length codes to instance masks, each decoded only where it lies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

from allsight.errors import AnnotationError
from allsight.scene import Masks


def draw_outlines(outlines: Sequence[Any], size: tuple[int, int]) -> Masks:
    """Draw the masks of one picture.

    Args:
        outlines: per instance a list of rings [x1, y1, x2, y2, ...] in pixels, or a COCO run-length code.
        size: (height, width) of the picture.

    Returns:
        One mask each, by COCO's rules for polygons.

    Raises:
        AnnotationError: a run-length code that does not fit the picture.
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
    if isinstance(outline, list):
        return coco.merge(coco.frPyObjects([list(map(float, ring)) for ring in outline], *size))
    code = coco.frPyObjects(outline, *size) if isinstance(outline["counts"], list) else outline
    if tuple(code["size"]) != tuple(size):
        raise ValueError(f"a run-length mask of size {outline['size']} on a picture of size {list(size)}")
    return code
