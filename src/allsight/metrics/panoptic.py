"""Panoptic quality: how well every pixel is given both a class and an instance (Kirillov et al. 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allsight.errors import AnnotationError
from allsight.scene import Scene

Integers = NDArray[np.int64]
NOTHING = 0  # the id of pixels without a segment


@dataclass(frozen=True)
class PanopticScores:
    """Panoptic, segmentation and recognition quality in [0, 1]; NaN where nothing could be measured.

    Args:
        pq, sq, rq: means over the classes that occur; pq = sq rq holds class by class, not for the means.
        things, stuff: pq over classes of objects, and over those of regions.
        per_class: pq of every class by name; NaN for one that neither truth nor prediction has.
    """

    pq: float
    sq: float
    rq: float
    things: float
    stuff: float
    per_class: dict[str, float]


def panoptic_scores(truths: Sequence[Scene], predictions: Sequence[Scene]) -> PanopticScores:
    """Score panoptic maps; see `PanopticCounts`.

    Args:
        truths, predictions: one Scene a picture, in the same order, with `panoptic`, `segments` and `region_classes`;
            pictures whose truth has no map are left out. Labels of predictions are compared by the classes' names.

    Raises:
        AnnotationError: not one prediction for each truth, a prediction without a map or of another size.
    """
    if len(truths) != len(predictions):
        raise AnnotationError(f"{len(predictions)} predictions for {len(truths)} pictures; give one for each")
    counts = PanopticCounts()
    for truth, prediction in zip(truths, predictions, strict=True):
        counts.add(truth, prediction)
    return counts.scores()


class PanopticCounts:
    """Segments that were found, missed and made up, added up picture by picture: any number of pictures in no memory.

    A predicted segment is right if it has the class of a true one and an IoU above one half with it; there can be only
    one. Pixels without a segment in the truth are not judged, and crowds are neither found nor missed: a predicted
    segment that lies on both by more than half is left out.

    Source:
        Kirillov et al. 2019, "Panoptic segmentation", section 4 (equation 1).
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.counts, self.overlap = np.zeros((0, 3)), np.zeros(0)  # true positives, false positives, false negatives
        self.things = np.zeros(0, dtype=bool)

    def add(self, truth: Scene, prediction: Scene) -> None:
        """Count one picture, unless it is not annotated; all truths have the classes of the first."""
        if truth.panoptic is None:
            return
        if not self.names:
            self.names = tuple(truth.region_classes or ())
            many = len(self.names)
            self.counts, self.overlap, self.things = np.zeros((many, 3)), np.zeros(many), np.zeros(many, dtype=bool)
        _add(truth, prediction, self.names, self.counts, self.overlap, self.things)

    def scores(self) -> PanopticScores:
        """Return the figures of all pictures so far."""
        hits, alarms, misses = self.counts.T
        there = self.counts.sum(1) > 0
        with np.errstate(invalid="ignore"):
            quality = self.overlap / np.where(there, hits + alarms / 2 + misses / 2, np.nan)
            segmentation = np.where(there, self.overlap / np.maximum(hits, 1), np.nan)
            recognition = hits / np.where(there, hits + alarms / 2 + misses / 2, np.nan)
        return PanopticScores(
            pq=_mean(quality),
            sq=_mean(segmentation),
            rq=_mean(recognition),
            things=_mean(quality[self.things]),
            stuff=_mean(quality[~self.things]),
            per_class=dict(zip(self.names, quality.tolist(), strict=True)),
        )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _add(
    truth: Scene,
    prediction: Scene,
    names: Sequence[str],
    counts: NDArray[np.float64],
    overlap: NDArray[np.float64],
    things: NDArray[np.bool_],
) -> None:
    """Count one picture, in place."""
    assert truth.panoptic is not None
    if prediction.panoptic is None or prediction.panoptic.shape != truth.panoptic.shape:
        raise AnnotationError(f"{truth.source or 'a picture'}: has no panoptic prediction of its own size")
    said_names = tuple(prediction.region_classes or ())
    true = {s["id"]: (names.index(_name(s, truth)), bool(s.get("crowd"))) for s in truth.segments or ()}
    for segment in truth.segments or ():
        things[true[segment["id"]][0]] |= bool(segment.get("thing"))
    said = {
        s["id"]: names.index(said_names[s["label"]])
        for s in prediction.segments or ()
        if said_names[s["label"]] in names
    }
    common, true_area, said_area = _areas(truth.panoptic.numpy(), prediction.panoptic.numpy())
    found: set[int] = set()
    matched: set[int] = set()
    for (t, p), area in common.items():
        if t not in true or p not in said or true[t][1] or true[t][0] != said[p]:
            continue
        iou = area / (true_area[t] + said_area[p] - area - common.get((NOTHING, p), 0))
        if iou > 0.5:
            counts[said[p], 0] += 1
            overlap[said[p]] += iou
            found.add(t)
            matched.add(p)
    for t, (label, crowd) in true.items():
        counts[label, 2] += t not in found and not crowd and true_area.get(t, 0) > 0
    for p, label in said.items():
        own_crowds = (t for t, (its, crowd) in true.items() if crowd and its == label)
        unjudged = common.get((NOTHING, p), 0) + sum(common.get((t, p), 0) for t in own_crowds)
        counts[label, 1] += p not in matched and said_area.get(p, 0) > 0 and unjudged <= 0.5 * said_area[p]


def _name(segment: Mapping[str, Any], scene: Scene) -> str:
    assert scene.region_classes is not None
    return scene.region_classes[segment["label"]]


def _areas(truth: Integers, prediction: Integers) -> tuple[dict[tuple[int, int], int], dict[int, int], dict[int, int]]:
    """Return the common area of all pairs of segments that meet, and the area of each segment of both maps."""
    pairs, counts = np.unique(np.stack([truth.ravel(), prediction.ravel()]), axis=1, return_counts=True)
    common = {(int(t), int(p)): int(c) for t, p, c in zip(*pairs, counts, strict=True)}
    true_area: dict[int, int] = {}
    said_area: dict[int, int] = {}
    for (t, p), area in common.items():
        true_area[t] = true_area.get(t, 0) + area
        said_area[p] = said_area.get(p, 0) + area
    return common, true_area, said_area
