"""From which probability on the class of a pixel can be believed."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allsight.metrics.detection import NEVER
from allsight.scene.vocabulary import IGNORE

BINS = 200  # probabilities are told apart to half a hundredth
LEAST_SHARE = 0.005  # of a picture's pixels that have to be right for a class to count as found in it


class SurePixels:
    """Right and wrong pixels by class and probability, added up picture by picture.

    Args:
        classes: C, how many there are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.right, self.wrong, self.pictures = np.zeros((3, classes, BINS), dtype=np.int64)

    def add(self, regions: Tensor, scores: Tensor, truth: Tensor) -> None:
        """Count one picture.

        Args:
            regions: (H, W) predicted classes, in the numbers of the truth; 255 for what the truth does not know.
            scores: (H, W) their probabilities. truth: (H, W), 255 = ignore.
        """
        judged = (truth != IGNORE) & (regions != IGNORE)
        bins = (scores[judged] * BINS).long().clamp(0, BINS - 1)
        place = regions[judged].long() * BINS + bins
        hit = regions[judged] == truth[judged]
        right, wrong = (self._table(place[which]) for which in (hit, ~hit))
        self.right += right
        self.wrong += wrong
        # The highest probability from which on enough of the picture is right.
        enough = _from(right) >= LEAST_SHARE * truth.numel()
        for label in np.flatnonzero(enough.any(1)):
            self.pictures[label, np.flatnonzero(enough[label])[-1]] += 1

    def _table(self, places: Tensor) -> NDArray[np.int64]:
        return torch.bincount(places, minlength=self.classes * BINS).reshape(self.classes, BINS).numpy()

    def thresholds(self, precision: float, least_pictures: int) -> list[float]:
        """Return for every class the lowest probability from which on enough of its pixels are right.

        Args:
            precision: the share that has to be right.
            least_pictures: it must be found in so many, or it is not believed.

        Returns:
            C thresholds: show what has at least that probability. `NEVER` for a class that does not get there.
        """
        right, wrong, pictures = (_from(each) for each in (self.right, self.wrong, self.pictures))
        sure = (right >= precision * (right + wrong)) & (pictures >= least_pictures)
        return [float(np.flatnonzero(row)[0] / BINS) if row.any() else NEVER for row in sure]


def _from(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (C, BINS) how many there are from each probability on."""
    return table[:, ::-1].cumsum(1)[:, ::-1]
