"""Large pictures tile by tile, so that small objects stay large enough to be seen."""

import math

import torch
from torch import Tensor

from allsight.ops.nms import batched_nms
from allsight.predict.predictor import Predictor
from allsight.scene import INSTANCE_FIELDS, Scene
from allsight.scene.geometry import translation

OVERLAP = 0.25
_EDGE = 2.0  # pixels: a box that ends here is taken for cut off


def tile_corners(size: tuple[int, int], tile: int, overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """Return (top, left) of square tiles that cover a picture and overlap evenly.

    Args:
        size: (height, width) in pixels. tile: side in pixels.
        overlap: least share of a tile that its neighbour sees too.
    """

    def starts(length: int) -> list[int]:
        if length <= tile:
            return [0]
        count = math.ceil((length - tile) / (tile * (1 - overlap))) + 1
        return [round(i * (length - tile) / (count - 1)) for i in range(count)]

    return [(top, left) for top in starts(size[0]) for left in starts(size[1])]


def scene_of_tiles(predictor: Predictor, picture: Tensor, whole: Scene) -> Scene:
    """Add to what the model said of the whole picture what it says of its tiles, at their original scale.

    An object that is cut by an inner edge of a tile is left to the neighbour, or to the look at the whole picture.

    Args:
        predictor: the model. picture: (3, H, W) uint8. whole: its answer to the whole picture.

    Returns:
        The scene with the objects of all looks after non-maximum suppression; `whole` itself where one tile is all.
    """
    height, width = whole.size
    tile = predictor.model.pictures.longest
    corners = tile_corners((height, width), tile)
    if len(corners) == 1:
        return whole
    joined = whole
    for top, left in corners:
        view = picture[:, top : top + tile, left : left + tile]
        found = _inner(_strong(predictor.scenes([view])[0]), view, top, left, (height, width))
        joined = joined.merge(found.affine(translation(left, top), (height, width)))
    if joined.boxes is None or joined.scores is None or joined.labels is None:
        return joined
    return joined.keep(batched_nms(joined.boxes, joined.scores, joined.labels, 0.5))


def _strong(scene: Scene) -> Scene:
    """Return the boxes only: tags, and boxes that come from them, belong to the whole picture."""
    objects = Scene(scene.size, object_classes=scene.object_classes)
    objects = objects.with_(**{name: getattr(scene, name) for name in INSTANCE_FIELDS})
    return objects if scene.weak is None else objects.keep(~scene.weak)


def _inner(scene: Scene, view: Tensor, top: int, left: int, size: tuple[int, int]) -> Scene:
    """Drop boxes that end at an edge of the tile which is not an edge of the picture."""
    if scene.boxes is None:
        return scene
    height, width = view.shape[-2:]
    x1, y1, x2, y2 = scene.boxes.unbind(1)
    cut = torch.zeros(len(scene), dtype=torch.bool)
    cut |= (x1 < _EDGE) & (left > 0)
    cut |= (y1 < _EDGE) & (top > 0)
    cut |= (x2 > width - _EDGE) & (left + width < size[1])
    cut |= (y2 > height - _EDGE) & (top + height < size[0])
    return scene.keep(~cut)
