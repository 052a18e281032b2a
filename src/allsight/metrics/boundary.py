"""Boundary IoU: how well outlines fit, however large the object (Cheng et al. 2021, "Boundary IoU", CVPR)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from allsight.metrics.instances import Floats, mask_overlaps
from allsight.scene import Masks

SHARE = 0.02  # of the picture's diagonal: how far from its outline a pixel still counts (section 5.1)


def boundary_width(size: tuple[int, int]) -> int:
    """Return how many pixels deep a boundary is on a picture of (height, width): 2% of the diagonal, at least one."""
    return max(1, round(SHARE * float(np.hypot(*size))))


def mask_boundaries(masks: Masks, width: int) -> Masks:
    """Return of every mask the pixels that lie at most `width` steps, diagonal ones too, from what it does not cover.

    What is outside of the picture is not covered: an object that is cut off has a boundary there too.
    """
    parts = [torch.zeros(0, dtype=torch.bool)]
    left, top, right, bottom = masks.windows.T
    areas = ((right - left) * (bottom - top)).tolist()
    # A loop over instances: each has a window of its own.
    for bits, (x1, y1, x2, y2) in zip(masks.bits.split(areas), masks.windows.tolist(), strict=True):
        mask = bits.reshape(y2 - y1, x2 - x1).numpy()
        inner = ndimage.minimum_filter(mask, size=2 * width + 1, mode="constant", cval=0) if mask.size else mask
        parts.append(torch.from_numpy(mask & ~inner).flatten())
    return Masks(torch.cat(parts), masks.windows, masks.size)


def boundary_overlaps(a: Masks, b: Masks) -> Floats:
    """Return (N, M) the boundary IoU of every mask of one set with every mask of another, or their IoU if that is less.

    The smaller of the two is what Boundary AP is computed from: alone, boundary IoU would not tell a disc from a ring
    (section 5.1).

    Raises:
        AnnotationError: they lie on pictures of different size.
    """
    width = boundary_width(a.size)
    return np.minimum(mask_overlaps(a, b), mask_overlaps(mask_boundaries(a, width), mask_boundaries(b, width)))


class BoundaryEval(COCOeval):
    """COCO's evaluation of masks with `boundary_overlaps` in place of their IoU.

    A crowd has no outline of its own: there it is the share of a prediction that lies in it, as COCO has it.
    """

    def computeIoU(self, imgId: int, catId: int) -> NDArray[Any] | list[Any]:  # noqa: N802, N803 - pycocotools' names
        """Return (predictions, objects) overlaps in one picture and class, the best predictions first."""
        overlaps = super().computeIoU(imgId, catId)
        if not len(overlaps):
            return overlaps
        truths, found = self._gts[imgId, catId], self._dts[imgId, catId]
        order = np.argsort([-each["score"] for each in found], kind="mergesort")[: self.params.maxDets[-1]]
        size = tuple(truths[0]["segmentation"]["size"])
        sides = ([found[i] for i in order], truths)
        said, true = (Masks.from_rle([each["segmentation"] for each in side], size) for side in sides)
        crowd = np.array([bool(each["iscrowd"]) for each in truths])
        return np.where(crowd, overlaps, boundary_overlaps(said, true))
