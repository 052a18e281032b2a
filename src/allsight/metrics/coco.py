"""COCO's average precision and recall, for boxes, masks and their boundaries."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import hotcoco
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
import torch
from numpy.typing import NDArray

from allsight.errors import AnnotationError
from allsight.metrics.boundary import BoundaryEval
from allsight.metrics.columns import Columns, Floats, annotated, class_names, columns
from allsight.scene import Scene, Vocabulary

COMMON, CROWDED = 100, 1000  # predictions of a class in a picture that count: in COCO, and of crowds

Kind = Literal["boxes", "masks", "boundaries"]
Backend = Literal["auto", "hotcoco", "pycocotools"]
_UNKNOWN = torch.tensor(torch.nan, dtype=torch.float64)


@dataclass(frozen=True)
class CocoScores:
    """What COCO reports, each in [0, 1]; NaN where nothing could be measured.

    Args:
        ap: mean over classes and IoU 0.50, 0.55, ..., 0.95. ap50, ap75: at one IoU.
        ap_small, ap_medium, ap_large: objects of less than 32 x 32, up to 96 x 96, and more square pixels.
        ar1, ar10, ar100: recall with at most so many predictions a picture, mean over classes and IoU; where other than
            100 were asked for, ar100 is that with so many.
        per_class, per_class_ap50: AP of every class by name; NaN, and not in the mean, for a class without truth.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    per_class: dict[str, float]
    per_class_ap50: dict[str, float]


def coco_scores(
    truths: Sequence[Scene],
    predictions: Sequence[Scene],
    *,
    kind: Kind = "boxes",
    backend: Backend = "auto",
    most: int = COMMON,
) -> CocoScores:
    """Score predictions as COCO does.

    Crowd regions and the annotated area are honoured; pictures whose truth is not annotated (None) are left out;
    predictions are of the truth's classes by name, others count nothing.

    Args:
        truths, predictions: one Scene a picture, in the same order.
        kind: compare "boxes", "masks", or how well the outlines of masks fit ("boundaries", which gives Boundary AP).
        backend: "auto" and "hotcoco" are the fast path, "pycocotools" is the reference, and what compares boundaries.
        most: best predictions of a class in a picture that count; what comes behind is left out (see `enough`).

    Returns:
        The scores.

    Raises:
        AnnotationError: not one prediction for each truth, or a prediction has no masks where they are compared.

    Source:
        Lin et al., "Microsoft COCO", ECCV 2014; the definition is cocodataset.org/#detection-eval. Cheng et al.,
        "Boundary IoU", CVPR 2021.
    """
    outlined = kind != "boxes"
    truths, predictions = annotated(truths, predictions, masks=outlined)
    if outlined and any(len(p) and p.masks is None for p in predictions):
        raise AnnotationError("a prediction has boxes but no masks; score it with kind='boxes'")
    classes = class_names(truths)
    truth, predicted = columns(truths, classes), columns(predictions, classes)
    if not len(truth):
        return _summary(np.full((10, 101, len(classes), 4, 3), -1.0), np.full((10, len(classes), 4, 3), -1.0), classes)
    one, two = (
        _Side(table, _codes(scenes, table) if outlined else None, _areas(scenes, table, outlined))
        for scenes, table in ((truths, truth), (predictions, predicted))
    )
    images = [{"id": i + 1, "height": t.size[0], "width": t.size[1]} for i, t in enumerate(truths)]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
    evaluate = _with_hotcoco
    if kind == "boundaries" or backend == "pycocotools":
        evaluate = partial(_with_pycocotools, BoundaryEval if kind == "boundaries" else pycocotools.cocoeval.COCOeval)
    # Both libraries print their progress; standard output belongs to the caller's JSON.
    with contextlib.redirect_stdout(io.StringIO()):
        precision, recall = evaluate(images, categories, one, two, [1, 10, most])
    return _summary(precision, recall, classes)


def enough(truths: Sequence[Scene]) -> int:
    """Return how many predictions of a picture have to count: COCO's 100, but 1,000 where a picture has more objects.

    With 100 of 375 nuclei nobody reaches a recall above 0.27, however good the predictions.
    """
    return CROWDED if any(len(truth) > COMMON for truth in truths) else COMMON


def _summary(precision: Floats, recall: Floats, classes: Vocabulary) -> CocoScores:
    """Average the arrays, in which -1 stands for "no truth".

    Args:
        precision: (IoU, recall, class, area range, most detections). recall: (IoU, class, area range, most).
    """
    at = precision[..., -1]
    return CocoScores(
        ap=_mean(at[..., 0]),
        ap50=_mean(at[0, ..., 0]),
        ap75=_mean(at[5, ..., 0]),
        ap_small=_mean(at[..., 1]),
        ap_medium=_mean(at[..., 2]),
        ap_large=_mean(at[..., 3]),
        ar1=_mean(recall[..., 0, 0]),
        ar10=_mean(recall[..., 0, 1]),
        ar100=_mean(recall[..., 0, 2]),
        per_class={name: _mean(at[:, :, i, 0]) for i, name in enumerate(classes)},
        per_class_ap50={name: _mean(at[0, :, i, 0]) for i, name in enumerate(classes)},
    )


def _mean(values: Floats) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


@dataclass(frozen=True)
class _Side:
    """One side of the comparison: the instances, their masks as RLE, and their area in square pixels."""

    table: Columns
    codes: list[Any] | None
    area: Floats

    @property
    def boxes(self) -> Floats:
        """(N, 4) x, y, width, height."""
        return np.concatenate([self.table.boxes[:, :2], self.table.boxes[:, 2:] - self.table.boxes[:, :2]], axis=1)


def _areas(scenes: Sequence[Scene], table: Columns, outlined: bool) -> Floats:
    """Return the annotated area of every row, else that of its mask, else (and for predicted boxes) that of its box."""
    sides = table.boxes[:, 2:] - table.boxes[:, :2]
    parts = []
    for scene in scenes:
        if scene.area is not None:
            parts.append(scene.area.double())
        elif scene.masks is not None and (outlined or scene.scores is None):
            parts.append(scene.masks.area().double())
        else:
            parts.append(_UNKNOWN.expand(0 if scene.boxes is None else len(scene.boxes)))
    stated = _of_rows(scenes, table, torch.cat(parts).numpy())
    return np.where(np.isnan(stated), sides[:, 0] * sides[:, 1], stated)


def _codes(scenes: Sequence[Scene], table: Columns) -> list[Any]:
    codes = [code for scene in scenes if scene.masks is not None for code in scene.masks.to_rle()]
    return [codes[i] for i in _of_rows(scenes, table, np.arange(len(codes)))]


def _of_rows(scenes: Sequence[Scene], table: Columns, values: NDArray[Any]) -> NDArray[Any]:
    """Return the values of the instances that are rows of the table, from those of all instances."""
    counts = np.array([len(scene) for scene in scenes], dtype=np.int64)
    return values[(counts.cumsum() - counts)[table.pictures] + table.rows]


def _with_hotcoco(
    images: list[dict[str, Any]], categories: list[dict[str, Any]], truth: _Side, predicted: _Side, most: list[int]
) -> tuple[Floats, Floats]:
    table = truth.table
    dataset = hotcoco.COCO.from_arrays(
        images,
        categories,
        table.pictures + 1,
        table.labels + 1,
        truth.boxes,
        area=truth.area,
        iscrowd=table.crowd.astype(np.int64),
        segmentation=truth.codes,
    )
    found = predicted.table
    rows = np.column_stack([found.pictures + 1, predicted.boxes, found.scores, found.labels + 1])
    results = dataset.load_res(rows.astype(np.float64), segmentation=predicted.codes)
    if predicted.codes is not None:  # else the area would be that of the box, which decides what is small
        results.update_anns(ids=np.arange(1, len(found) + 1), area=predicted.area)
    evaluation = hotcoco.COCOeval(dataset, results, "bbox" if truth.codes is None else "segm")
    evaluation.params.max_dets = most
    evaluation.evaluate()
    evaluation.accumulate()
    arrays = evaluation.eval or {}
    return np.asarray(arrays["precision"]), np.asarray(arrays["recall"])


def _with_pycocotools(
    evaluator: Any,
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    truth: _Side,
    predicted: _Side,
    most: list[int],
) -> tuple[Floats, Floats]:
    sides = []
    for side, scored in ((truth, False), (predicted, True)):
        dataset = pycocotools.coco.COCO()
        dataset.dataset = {"images": images, "categories": categories, "annotations": _annotations(side, scored)}
        dataset.createIndex()
        sides.append(dataset)
    evaluation = evaluator(*sides, "bbox" if truth.codes is None else "segm")
    evaluation.params.maxDets = most
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def _annotations(side: _Side, scored: bool) -> list[dict[str, Any]]:
    table = side.table
    keys = {
        "image_id": table.pictures + 1,
        "category_id": table.labels + 1,
        "bbox": side.boxes,
        "area": side.area,
        "iscrowd": np.zeros(len(table), dtype=int) if scored else table.crowd.astype(int),
        **({"score": table.scores} if scored else {}),
    }
    rows = zip(*(column.tolist() for column in keys.values()), strict=True)
    annotations = [{"id": i + 1, **dict(zip(keys, row, strict=True))} for i, row in enumerate(rows)]
    if side.codes is not None:
        for annotation, code in zip(annotations, side.codes, strict=True):
            annotation["segmentation"] = code
    return annotations
