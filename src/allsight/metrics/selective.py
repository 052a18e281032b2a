"""What it is worth to say nothing: risk against coverage, and how well the foreign is told from the familiar."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from allsight.metrics.columns import Flags, Floats


@dataclass(frozen=True, eq=False)
class RiskCurve:
    """The share of wrong answers among the most confident ones.

    Args:
        coverage: (N,) the share that is answered, 1 / N to 1. risk: (N,) the share of those that is wrong.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """The area under the curve, NaN without answers (Geifman and El-Yaniv 2017, section 2)."""
        return float(self.risk.mean()) if len(self.risk) else float("nan")

    def at(self, coverage: float) -> float:
        """Return the risk when the most confident answers of this share, rounded up, are given; NaN without answers."""
        count = len(self.risk)
        if not count:
            return float("nan")
        return float(self.risk[min(max(int(np.ceil(coverage * count - 1e-9)), 1), count) - 1])


def risk_curve(confidence: Floats, wrong: Flags) -> RiskCurve:
    """Return risk against coverage while the demand on confidence falls.

    Answers of equal confidence come in together, in the mean over all their orders.

    Args:
        confidence: (N,) any numbers, the greatest answered first. wrong: (N,) bool.

    Source: El-Yaniv and Wiener 2010, "On the foundations of noise-free selective classification", section 2; Geifman
    and El-Yaniv 2017, "Selective classification for deep neural networks", section 2.
    """
    count = len(confidence)
    _, group, members = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=np.asarray(wrong, dtype=float), minlength=len(members)) / members
    numbers = np.arange(1, count + 1)
    return RiskCurve(numbers / max(count, 1), np.repeat(share, members).cumsum() / numbers)


def auroc(familiar: ArrayLike, foreign: ArrayLike) -> float:
    """Return how likely something foreign is further away than something familiar; equals count half.

    That is the area under the receiver operating characteristic, exactly, from the sum of ranks.

    Args:
        familiar: (N,) distances. foreign: (M,) distances.

    Returns:
        0.5 where the two cannot be told apart, 1 where they always can; NaN where one of them is empty.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic curve".
    """
    near, far = np.asarray(familiar, dtype=float), np.asarray(foreign, dtype=float)
    if not near.size or not far.size:
        return float("nan")
    ranks = rankdata(np.concatenate([near, far]))
    return float((ranks[near.size :].sum() - far.size * (far.size + 1) / 2) / (near.size * far.size))
