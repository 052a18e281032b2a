"""How sure the mean of a few repeated measurements is."""

from collections.abc import Sequence
from math import nan, sqrt

import numpy as np
from scipy.special import stdtrit


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the mean of independent measurements and the half width of its interval, by Student's t.

    Args:
        values: the measurements.
        confidence: of the interval mean - half to mean + half.

    Returns:
        mean and half width; the latter is NaN for fewer than two measurements.

    Source: Student 1908, "The probable error of a mean".
    """
    count = len(values)
    if count < 2:
        return float(np.mean(values)) if count else nan, nan
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    return float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / sqrt(count)
