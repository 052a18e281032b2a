"""How good instance masks are: overlaps of all pairs, and the measure of the Data Science Bowl."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from allsight.errors import AnnotationError
from allsight.scene import Masks, Scene

Floats = NDArray[np.float64]
THRESHOLDS = np.arange(0.5, 0.95 + 1e-9, 0.05)
CANDIDATES = tuple((np.arange(1, 20) / 20).tolist())  # thresholds of the score


def mask_overlaps(a: Masks, b: Masks) -> Floats:
    """Return (N, M) the intersection over union of every mask of one set with every mask of another.

    Time and memory go with what the masks cover: 375 nuclei against 375 take milliseconds, not 375 pictures.

    Raises:
        AnnotationError: they lie on pictures of different size.
    """
    if tuple(a.size) != tuple(b.size):
        raise AnnotationError(f"masks on pictures of size {a.size} and {b.size} cannot be compared")
    common = np.asarray((_table(a) @ _table(b).T).todense(), dtype=np.float64).reshape(len(a), len(b))
    areas = (masks.area().double().numpy() for masks in (a, b))
    union = np.add.outer(*areas) - common
    return common / np.maximum(union, 1)


def _table(masks: Masks) -> csr_array:
    """Return (N, H * W) sparse: which pixels each mask covers."""
    instance, pixel = masks.pixels()
    ones = np.ones(len(instance), dtype=np.int32)
    return csr_array((ones, (instance.numpy(), pixel.numpy())), shape=(len(masks), masks.size[0] * masks.size[1]))


def bowl_score(truths: Sequence[Scene], predictions: Sequence[Scene], threshold: float = 0.0) -> float:
    """Return the measure of the 2018 Data Science Bowl: mean precision over IoU 0.5, 0.55, ..., 0.95.

    In every picture and at every threshold, precision is TP / (TP + FP + FN): a predicted mask is right if it overlaps
    an object by more than the threshold, each object counting once; then the mean over thresholds, then over pictures.
    Scores play no part in it: what is not to be believed has to be left out before. A picture without objects counts 1
    if nothing is predicted in it, else 0. The contest allowed no overlaps: a pixel of several predicted masks is the
    one's with the highest score, and a mask of which nothing is left counts as predicted.

    Args:
        truths, predictions: one Scene a picture, in the same order; pictures whose truth has no masks are left out.
        threshold: predictions with a lower score are left out.

    Returns:
        In [0, 1]; NaN if no picture is annotated.

    Raises:
        AnnotationError: not one prediction for each truth.

    Source:
        Caicedo et al. 2019, "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Methods.
    """
    return _mean(_by_threshold(truths, predictions, np.array([threshold]))[:, 0])


def cross_fitted_bowl(
    truths: Sequence[Scene], predictions: Sequence[Scene], thresholds: Sequence[float] = CANDIDATES
) -> float:
    """Return the measure of the Data Science Bowl where the score threshold has to be chosen on the same pictures.

    Every second picture is judged at the threshold that is best for the others, and the others at the one that is best
    for these, so that no picture has a say in its own threshold.

    Args:
        truths, predictions: see `bowl_score`. thresholds: to choose from.

    Returns:
        In [0, 1]; NaN if fewer than two pictures are annotated.
    """
    found = _by_threshold(truths, predictions, np.array(thresholds))
    if len(found) < 2:
        return float("nan")
    halves = found[0::2], found[1::2]
    return _mean(np.concatenate([a[:, b.mean(0).argmax()] for a, b in (halves, halves[::-1])]))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def _by_threshold(truths: Sequence[Scene], predictions: Sequence[Scene], thresholds: Floats) -> Floats:
    """Return (N, S) the measure of every picture that is annotated, at S thresholds of the score."""
    if len(truths) != len(predictions):
        raise AnnotationError(f"{len(predictions)} predictions for {len(truths)} pictures; give one for each")
    rows = [_of_picture(t, p, thresholds) for t, p in zip(truths, predictions, strict=True) if t.masks is not None]
    return np.array(rows, dtype=np.float64).reshape(-1, len(thresholds))


def _of_picture(truth: Scene, prediction: Scene, thresholds: Floats) -> Floats:
    """Return (S,) the measure of one picture."""
    true = truth.masks
    assert true is not None
    said = prediction.masks if prediction.masks is not None else Masks.blank(0, true.size)
    scores = np.ones(len(said)) if prediction.scores is None else prediction.scores.double().numpy()
    order = np.argsort(-scores, kind="stable")
    overlaps = mask_overlaps(_apart(said[torch.from_numpy(order)]), true)
    # No two masks without a common pixel fit one object by more than a half: those that fit any make the most pairs.
    right = overlaps.max(axis=1, initial=0)[:, None] > THRESHOLDS
    hits = np.concatenate([np.zeros((1, len(THRESHOLDS))), right.cumsum(0)])
    counts = (scores[:, None] >= thresholds).sum(0)
    missed_or_wrong = len(true) + counts[:, None] - hits[counts]
    precision: Floats = (hits[counts] / np.maximum(missed_or_wrong, 1)).mean(1)
    return np.where(counts == 0, float(len(true) == 0), precision)


def _apart(masks: Masks) -> Masks:
    """Return masks of which the first one keeps every pixel that several of them cover."""
    instance, pixel = masks.pixels()
    owner = torch.full((masks.size[0] * masks.size[1],), len(masks))
    owner.scatter_reduce_(0, pixel, instance, "amin")
    bits = masks.bits.clone()
    bits[masks.bits] = owner[pixel] == instance
    return Masks(bits, masks.windows, masks.size)
