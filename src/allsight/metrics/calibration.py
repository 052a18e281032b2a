"""How far scores may be taken for probabilities, and the one or two numbers that make them so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, log_softmax
from torch import Tensor

from allsight.metrics.columns import Columns, Flags, Floats, Integers, annotated, class_names, columns
from allsight.metrics.matching import match
from allsight.scene import Scene

BINS = 15
_LEAST_SCALE = 0.01  # a scale of 0 would make all scores equal, a negative one turn their order round
_EDGE = 1e-7  # probabilities nearer to 0 and 1 are taken for this, so that their logits stay finite


@dataclass(frozen=True, eq=False)
class Reliability:
    """Of what was said with about the same confidence, how much was right.

    Args:
        confidence, accuracy: (M,) means of the bins that are not empty, in [0, 1], by rising confidence.
        count: (M,) how many lie in them.
    """

    confidence: Floats
    accuracy: Floats
    count: Integers

    @property
    def error(self) -> float:
        """The expected calibration error, NaN without examples (Guo et al. 2017, equation 3)."""
        total = self.count.sum()
        return float((self.count * abs(self.accuracy - self.confidence)).sum() / total) if total else float("nan")


def reliability(confidence: Floats, correct: Flags, bins: int = BINS) -> Reliability:
    """Return accuracy against confidence in bins of equal width.

    Args:
        confidence: (N,) in [0, 1]. correct: (N,) bool. bins: how many, M = 15 in the paper.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 2 and equation 2.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, correct.astype(float)))
    some = np.flatnonzero(count)
    mean_confidence, accuracy = (total[some] / count[some] for total in sums)
    return Reliability(mean_confidence, accuracy, count[some])


@dataclass(frozen=True)
class Temperature:
    """Divides logits by a number: softer above 1, sharper below; no class changes its place."""

    value: float

    def __call__(self, probabilities: Tensor) -> Tensor:
        """Return probabilities (..., C) that sum to 1 as they are at this temperature; logits are not needed."""
        logits = probabilities.double().clamp_min(_EDGE**2).log()
        return (logits / self.value).softmax(-1).to(probabilities.dtype)


@dataclass(frozen=True)
class Platt:
    """Stretches and shifts the logit of a score between 0 and 1; the order of scores stays."""

    scale: float
    shift: float

    def __call__(self, scores: Tensor) -> Tensor:
        """Return scores of any shape as probabilities."""
        return (torch.logit(scores.double(), eps=_EDGE) * self.scale + self.shift).sigmoid().to(scores.dtype)


def fit_temperature(logits: Floats, labels: Integers) -> Temperature:
    """Return the temperature at which the labels are most likely.

    Args:
        logits: (N, C), or logarithms of probabilities. labels: (N,) the right class of each, N at least 1.

    Returns:
        Between e to the -5 and e to the 5: examples that are all right would ask for 0.

    Source: Guo et al. 2017, section 4.2, "Temperature scaling".
    """
    from scipy.optimize import minimize_scalar  # takes half a second to import

    def surprise(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(np.take_along_axis(scaled, labels[:, None], axis=1).mean())

    return Temperature(float(np.exp(minimize_scalar(surprise, bounds=(-5, 5), method="bounded").x)))


def fit_platt(logits: Floats, hits: Flags) -> Platt | None:
    """Return scale and shift of logits under which the hits are most likely.

    A detector's scores need the shift beside the scale: focal loss and the many empty places pull all of them to one
    side, and no temperature moves the logit 0.

    Args:
        logits: (N,) of scores. hits: (N,) bool, which of them were right.

    Returns:
        None where nothing or everything was right: then there is nothing to fit.

    Source: Platt 1999, "Probabilistic outputs for support vector machines", section 2; his targets, which lie a little
    inside 0 and 1, keep the fit finite where some threshold parts hits and misses. As scaling of detections: Küppers et
    al. 2020, "Multivariate confidence calibration for object detection", section 3.
    """
    from scipy.optimize import minimize  # takes half a second to import

    right = int(hits.sum())
    wrong = len(hits) - right
    if not right or not wrong:
        return None
    target = np.where(hits, (right + 1) / (right + 2), 1 / (wrong + 2))

    def surprise(parameters: Floats) -> tuple[float, Floats]:
        scaled = parameters[0] * logits + parameters[1]
        slope = expit(scaled) - target
        loss = np.logaddexp(0, scaled) - target * scaled
        return loss.mean(), np.array([(slope * logits).mean(), slope.mean()])

    found = minimize(surprise, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(_LEAST_SCALE, None), (None, None)])
    return Platt(float(found.x[0]), float(found.x[1]))


def logit(scores: Floats) -> Floats:
    """Return the logits of scores between 0 and 1; those at the ends stay finite."""
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)


def judged_detections(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, iou: float = 0.5
) -> tuple[Columns, Flags]:
    """Return all predictions that can be called right or wrong, and which are right.

    Args:
        truths, predictions: one Scene a picture, in the same order; pictures that are not annotated, predictions of
            classes that the truth does not know, and what lies on crowds and difficult objects are left out.
        iou: least overlap with an object of the class, each of which is given to one prediction.

    Returns:
        M rows, whose `pictures` count the pictures that were given, and (M,) bool.
    """
    known = np.array([i for i, truth in enumerate(truths) if truth.boxes is not None], dtype=np.int64)
    some, said = annotated(truths, predictions)
    classes = class_names(some)
    predicted = columns(said, classes)
    found = match(columns(some, classes), predicted, iou)
    counted = ~found.ignored
    rows = predicted[counted]
    return Columns(**{**vars(rows), "pictures": known[rows.pictures]}), found.hit[counted]


def halves(count: int, seed: int = 0) -> Flags:
    """Return (count,) bool, true for one half drawn at random: what is fitted on one half is judged on the other."""
    half = np.zeros(count, dtype=bool)
    half[np.random.default_rng(seed).permutation(count)[: count // 2]] = True
    return half


def crosswise(groups: Integers, fitted: Callable[[Flags, Flags], Floats]) -> Floats:
    """Return confidences calibrated by what was fitted on the pictures of the other half.

    Args:
        groups: (N,) the picture of each example, counted from 0.
        fitted: called with two (N,) bool masks, examples to fit on and examples to apply it to; returns the new
            confidences of the latter.

    Returns:
        (N,) confidences.
    """
    half = halves(int(groups.max(initial=-1)) + 1)[groups]
    result = np.full(len(groups), np.nan)
    for mine in (half, ~half):
        result[mine] = fitted(~mine, mine)
    return result
