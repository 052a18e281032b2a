"""What our own operators are in ONNX: the translation table for `torch.onnx.export`."""

from collections.abc import Callable
from typing import Any

import onnxscript
import torch

import allsight.ops.nms
import allsight.ops.roi_align  # noqa: F401 both register the operators that the table names

op: Any = onnxscript.opset18  # its own types are too narrow: they know no plain numbers
_LOWEST = -3.4e38  # a score that no box has: what is not of a class is under it


def _nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Any:
    """`allsight::nms` by NonMaxSuppression, which wants the scores as (1, classes, N) and answers class by class.

    Every class gets a row in which the boxes of other classes score less than anything; nothing is shifted, so no
    digit of a coordinate is lost. What is kept is then put in order over all classes, the first of equals first.
    Where this may differ from ours: boxes without area do not suppress each other, and the overlap is compared in
    float32.
    """
    scores = op.Cast(scores, to=onnxscript.FLOAT.dtype)
    boxes = op.Cast(boxes, to=onnxscript.FLOAT.dtype)
    count = op.Shape(scores)
    # The 0 stands for the case of no boxes at all, in which there would be no greatest label.
    classes = op.Add(op.ReduceMax(op.Concat(labels, op.Constant(value_ints=[0]), axis=0), keepdims=0), 1)
    rows = op.Unsqueeze(op.Range(0, classes, 1), 1)
    out = op.Constant(value_float=-float("inf"))
    by_class = op.Where(op.Equal(rows, op.Unsqueeze(labels, 0)), op.Unsqueeze(scores, 0), out)
    found = op.NonMaxSuppression(
        op.Unsqueeze(boxes, 0),
        op.Unsqueeze(by_class, 0),
        count,
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[_LOWEST]),
    )
    kept = op.Gather(found, 2, axis=1)
    marks = op.ScatterElements(op.Expand(out, count), kept, op.Gather(scores, kept), axis=0)
    _, order = op.TopK(marks, op.Shape(kept))
    return order


def _roi_align(
    features: Any,
    boxes: Any,
    batch_index: Any,
    height: int,
    width: int,
    scale: float,
    sampling: int,
    aligned: bool,
) -> Any:
    """`allsight::roi_align` by RoiAlign: the same convention, the same samples."""
    return op.RoiAlign(
        features,
        boxes,
        batch_index,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        mode="avg",
        output_height=height,
        output_width=width,
        sampling_ratio=sampling,
        spatial_scale=scale,
    )


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.allsight.nms.default: _nms,
    torch.ops.allsight.roi_align.default: _roi_align,
}
