"""How good regions are: accuracies and intersection over union, counted picture by picture, and boundary F1."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.vocabulary import IGNORE

TOLERANCE = 0.0075  # of the picture's diagonal (Csurka et al. 2013, section 4)


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Figures of the whole, in [0, 1]; NaN where nothing can be measured.

    Args:
        mean_iou: the mean of `iou` over the classes that occur in truth or prediction.
        pixel_accuracy: share of the annotated pixels whose class is right.
        class_accuracy: the mean of `accuracy` over the classes that occur in the truth.
        iou: (C,) float64, pixels that are of the class in both over those that are in either.
        accuracy: (C,) float64, share of a class's pixels that are right (its recall).
    """

    mean_iou: float
    pixel_accuracy: float
    class_accuracy: float
    iou: Tensor
    accuracy: Tensor


class RegionCounts:
    """Pixels by true and by predicted class, added up picture by picture: any number of pictures in no memory.

    Args:
        classes: C, how many there are.

    Attributes:
        matrix: (C, C + 1) int64, rows the truth, columns the prediction; the last one is no class.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.matrix = torch.zeros((classes, classes + 1), dtype=torch.int64)

    def add(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """Count one picture.

        Args:
            prediction: (H, W) integers; what is no class (255, say) is wrong wherever the truth is known.
            truth: (H, W) integers, 255 = ignore.

        Returns:
            (C, C + 1) int64, the counts of this picture alone.

        Raises:
            AnnotationError: the shapes differ, or the truth has a class that is not one of C.
        """
        if prediction.shape != truth.shape:
            raise AnnotationError(
                f"regions of shape {tuple(prediction.shape)} and {tuple(truth.shape)} cannot be compared"
            )
        width = self.classes + 1
        known = truth != IGNORE
        rows, columns = truth[known].long(), prediction[known].long()
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < self.classes:
            raise AnnotationError(f"the truth has classes that are not among the {self.classes} that are compared")
        columns = columns.where((columns >= 0) & (columns < self.classes), self.classes)
        counts = torch.bincount(rows * width + columns, minlength=self.classes * width).reshape(self.classes, width)
        self.matrix += counts.cpu()
        return counts

    def scores(self) -> RegionScores:
        """Return the figures of all pictures so far."""
        return region_scores(self.matrix)


def region_scores(matrix: Tensor) -> RegionScores:
    """Return accuracies and intersection over union (Long et al. 2015, section 5; Everingham et al. 2015).

    Classes that neither truth nor prediction has are left out of the mean.

    Args:
        matrix: (C, C + 1) counts as in `RegionCounts`.
    """
    counts = matrix.double()
    right = counts.diagonal()
    present, said = counts.sum(1), counts[:, :-1].sum(0)
    iou, accuracy = right / (present + said - right), right / present
    pixels = float(right.sum() / present.sum())
    return RegionScores(float(iou.nanmean()), pixels, float(accuracy.nanmean()), iou, accuracy)


class BoundaryScores:
    """Boundary F1, added up picture by picture: how well the borders of every class are met (Csurka et al. 2013).

    "What is a good evaluation measure for semantic segmentation?", section 4. A border pixel is right if the other map
    has a border pixel of the class within the tolerance; F1 is of the two shares. For each class the mean over the
    pictures that have a border of it in truth or prediction, then the mean over classes. Where the truth is not
    annotated nothing is judged, and the edge of such a place is no border.

    Args:
        classes: C, how many there are.
        tolerance: in pixels from 1 on; below, share of the picture's diagonal.
    """

    def __init__(self, classes: int, tolerance: float = TOLERANCE) -> None:
        self.classes, self.tolerance = classes, tolerance
        self.sums, self.pictures = np.zeros(classes), np.zeros(classes, dtype=np.int64)

    def add(self, prediction: Tensor, truth: Tensor) -> np.ndarray:
        """Count one picture; arguments as for `RegionCounts.add`. Return (C,) its F1, NaN for absent classes."""
        true, said = truth.numpy(), prediction.numpy()
        found = boundary_f1(said, true, self.classes, self.tolerance)
        there = ~np.isnan(found)
        self.sums[there] += found[there]
        self.pictures += there
        return found

    def per_class(self) -> np.ndarray:
        """Return (C,) the mean F1 of every class; NaN where no picture has it."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.pictures

    def mean(self) -> float:
        """Return the mean over classes; NaN without any."""
        return float(np.nanmean(self.per_class())) if self.pictures.any() else float("nan")


def boundary_f1(prediction: np.ndarray, truth: np.ndarray, classes: int, tolerance: float = TOLERANCE) -> np.ndarray:
    """Return the boundary F1 of every class in one picture; see `BoundaryScores`.

    Args:
        prediction, truth: (H, W) integers. classes: C. tolerance: see `BoundaryScores`.

    Returns:
        (C,) float64; NaN where neither map has a border of the class.
    """
    prediction = np.where(truth == IGNORE, IGNORE, prediction)
    pixels = tolerance if tolerance >= 1 else max(1.0, tolerance * float(np.hypot(*truth.shape)))
    result = np.full(classes, np.nan)
    # Every class is a bit of a word, so that all of them are widened at once: 3 ms for 11 classes on 480 x 360, where
    # a distance transform a class takes 300.
    for start in range(0, classes, 63):
        some = min(63, classes - start)
        one, two = (_borders(labels, start, some) for labels in (prediction, truth))
        hits = (_count(one & _widened(two, pixels), some), _count(two & _widened(one, pixels), some))
        counts = _count(one, some), _count(two, some)
        precision, recall = (hit / np.maximum(count, 1) for hit, count in zip(hits, counts, strict=True))
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        result[start : start + some] = np.where(counts[0] + counts[1] > 0, f1, np.nan)
    return result


def _borders(labels: np.ndarray, start: int, some: int) -> np.ndarray:
    """Return (H, W) words in which bit i is set on pixels of class start + i beside a pixel of another class."""
    inside = (labels >= start) & (labels < start + some)
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        one, two = (labels.take(range(*ends), axis) for ends in ((0, labels.shape[axis] - 1), (1, labels.shape[axis])))
        differs = (one != two) & (one != IGNORE) & (two != IGNORE)
        before, behind = ((slice(None),) * axis + (s,) for s in (slice(None, -1), slice(1, None)))
        edge[before] |= differs
        edge[behind] |= differs
    shift = np.where(inside, labels - start, 0).astype(np.int64)
    return np.where(edge & inside, np.int64(1) << shift, 0)


def _widened(words: np.ndarray, radius: float) -> np.ndarray:
    """Return words whose bits are set wherever they are set within a Euclidean distance.

    A disc is a stack of runs: the runs of growing length are made once, each from the one before, and every row takes
    those of the rows above and below it that the disc reaches.
    """
    height, width = words.shape
    reach = int(radius)
    half = [int((radius**2 - dy**2) ** 0.5) for dy in range(reach + 1)]  # of the run at each distance of rows
    result, run, length = np.zeros_like(words), words.copy(), 0
    for dy in range(reach, -1, -1):
        while length < half[dy]:
            length += 1
            if length < width:
                run[:, length:] |= words[:, :-length]
                run[:, :-length] |= words[:, length:]
        if dy < height:
            result[dy:] |= run[: height - dy]
            result[: height - dy] |= run[dy:]
    return result


def _count(words: np.ndarray, some: int) -> np.ndarray:
    """Return (some,) how many words have each bit set."""
    marked = words[words != 0]
    return np.array([np.count_nonzero(marked >> bit & 1) for bit in range(some)], dtype=np.float64)
