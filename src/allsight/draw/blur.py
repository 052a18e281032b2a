"""Objects made unrecognisable."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import maximum_filter
from torch import Tensor

from allsight.draw.canvas import interleaved, planar
from allsight.scene import Scene

CELLS = 6  # along the longer side of an object are all that is left of it
RIM = 0.04  # of the longer side: outlines that a model draws leave out edges


def blurred(picture: Tensor, scene: Scene, names: frozenset[str]) -> Tensor:
    """Return a picture in which all objects of some classes are blurred, by their masks where they have one.

    Of each object only a few cells are kept, however large it is, so that nothing sharper can be computed back. What a
    model does not see, it does not blur.

    Args:
        picture: (3, H, W) uint8 RGB. scene: of that size. names: of classes.

    Returns:
        (3, H, W) uint8; the picture itself where there is nothing to blur.
    """
    chosen = [i for i, name in enumerate(scene.names()) if name in names]
    if not chosen or scene.boxes is None:
        return picture
    pixels, original = interleaved(picture), interleaved(picture)
    for (x1, y1, x2, y2), inside in _places(scene.keep(torch.tensor(chosen))):
        soft = _few_cells(original[y1:y2, x1:x2])
        pixels[y1:y2, x1:x2] = np.where(inside[..., None], soft, pixels[y1:y2, x1:x2])
    return planar(pixels)


def _places(scene: Scene) -> Iterator[tuple[tuple[int, int, int, int], NDArray[np.bool_]]]:
    """Give of every object its window x1, y1, x2, y2 with a rim, and which pixels of it are the object's."""
    assert scene.boxes is not None
    height, width = scene.size
    for i, box in enumerate(scene.boxes.tolist()):
        mask = None if scene.masks is None else scene.masks[torch.tensor([i])]
        outlined = mask is not None and bool(mask.bits.any())
        edges = mask.windows[0].tolist() if mask is not None and outlined else box
        rim = max(2, round(RIM * max(edges[2] - edges[0], edges[3] - edges[1])))
        x1, y1 = max(int(edges[0]) - rim, 0), max(int(edges[1]) - rim, 0)
        x2, y2 = min(int(np.ceil(edges[2])) + rim, width), min(int(np.ceil(edges[3])) + rim, height)
        if x2 <= x1 or y2 <= y1:
            continue
        inside = np.ones((y2 - y1, x2 - x1), dtype=bool)
        if mask is not None and outlined:
            left, top, right, bottom = edges
            inside[:] = False
            bits = mask.bits.numpy().reshape(bottom - top, right - left)
            inside[top - y1 : bottom - y1, left - x1 : right - x1] = bits
            inside = maximum_filter(inside.astype(np.uint8), 2 * rim + 1, mode="constant").astype(bool)
        yield (x1, y1, x2, y2), inside


def _few_cells(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a patch (h, w, 3) of which no more than a few cells are left, smoothly joined."""
    high, wide = patch.shape[:2]
    scale = min(1.0, CELLS / max(high, wide))
    few = (max(1, round(wide * scale)), max(1, round(high * scale)))
    small = Image.fromarray(patch).resize(few, Image.Resampling.BOX)
    if max(few) > 2:
        small = small.filter(ImageFilter.BoxBlur(0.5))
    return np.asarray(small.resize((wide, high), Image.Resampling.BICUBIC))
