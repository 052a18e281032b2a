"""How good depth and surface normals are, pixel by pixel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene import Scene

DELTA = 1.25
ANGLES = (11.25, 22.5, 30.0)  # degrees


@dataclass(frozen=True)
class DepthScores:
    """Means over all annotated pixels; NaN without any.

    Args:
        relative: |d - d*| / d*. rmse: root of the mean of (d - d*)^2, metres.
        within: share of the pixels where max(d / d*, d* / d) is below 1.25, its square and its cube.
    """

    relative: float
    rmse: float
    within: tuple[float, float, float]


@dataclass(frozen=True)
class NormalScores:
    """Of the angle between true and predicted normals over all annotated pixels, in degrees; NaN without any.

    Args:
        mean, median: of the angle. within: share of the pixels below 11.25, 22.5 and 30 degrees.
    """

    mean: float
    median: float
    within: tuple[float, float, float]


def depth_scores(truths: Sequence[Scene], predictions: Sequence[Scene]) -> DepthScores:
    """Score depth where the truth is finite and above 0.

    Args:
        truths, predictions: one Scene a picture, in the same order; those without true depth are left out.

    Raises:
        AnnotationError: not one prediction for each truth, or none of the truth's size.

    Source:
        Eigen et al. 2014, "Depth map prediction from a single image using a multi-scale deep network", section 4.3.
    """
    pairs = [(t.double(), p.double()) for t, p in _pairs(truths, predictions, "depth")]
    known = [(t > 0) & t.isfinite() for t, _ in pairs]
    true = _joined([t[k] for (t, _), k in zip(pairs, known, strict=True)])
    said = _joined([p[k] for (_, p), k in zip(pairs, known, strict=True)])
    ratio = torch.maximum(said / true, true / said).where(said > 0, torch.inf)
    near, nearer, nearest = ((ratio < DELTA**power).double().mean().item() for power in (1, 2, 3))
    relative, squared = ((said - true).abs() / true).mean(), (said - true).square().mean()
    return DepthScores(relative.item(), squared.sqrt().item(), (near, nearer, nearest))


def normal_scores(truths: Sequence[Scene], predictions: Sequence[Scene]) -> NormalScores:
    """Score normals where the truth has a length.

    Args:
        truths, predictions: as for `depth_scores`.

    Raises:
        AnnotationError: as for `depth_scores`.

    Source:
        Fouhey et al. 2013, "Data-driven 3D primitives for single image understanding", section 5.
    """
    angles = []
    for true, said in _pairs(truths, predictions, "normals"):
        known = true.norm(dim=0) > 0.5
        one, two = true[:, known].double(), said[:, known].double()
        # By the tangent: the cosine alone cannot tell small angles apart.
        angles.append(torch.atan2(torch.linalg.cross(one, two, dim=0).norm(dim=0), (one * two).sum(0)).rad2deg())
    every = _joined(angles)
    median = every.quantile(0.5).item() if len(every) <= 2**24 else every.median().item()
    close, closer, closest = ((every < angle).double().mean().item() for angle in ANGLES)
    return NormalScores(every.mean().item(), median, (close, closer, closest))


def _pairs(
    truths: Sequence[Scene], predictions: Sequence[Scene], name: Literal["depth", "normals"]
) -> Iterator[tuple[Tensor, Tensor]]:
    if len(truths) != len(predictions):
        raise AnnotationError(f"{len(predictions)} predictions for {len(truths)} pictures; give one for each")
    for truth, prediction in zip(truths, predictions, strict=True):
        true, said = getattr(truth, name), getattr(prediction, name)
        if true is None:
            continue
        if said is None or said.shape != true.shape:
            raise AnnotationError(f"{truth.source or 'a picture'}: has no predicted {name} of its own size")
        yield true, said


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Return all values as one list; NaN if there are none, so that every mean is NaN."""
    every = torch.cat([part.flatten() for part in parts]) if parts else torch.zeros(0, dtype=torch.float64)
    return every if len(every) else torch.tensor([torch.nan], dtype=torch.float64)
