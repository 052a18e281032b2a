"""How far something is from what a model has learned, measured on the features that it computes anyway."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from allsight.models.vision import Vision
from allsight.ops.roi_align import roi_align
from allsight.scene import Frame

FINE = 16  # pixels a cell: the coarsest map on which objects are looked at, where the model has one as fine
MOST_AXES = 16
SAMPLES = 4  # down and across a box
_LEAST = 1e-6  # of the whole variance, what is taken for the rest's, so that a flat direction is no cliff


@dataclass(frozen=True, eq=False)
class Familiarity:
    """A normal distribution of feature vectors: free along a few axes, alike in all other directions.

    Its Mahalanobis distance says how unlike the learned a vector is (Lee et al. 2018, "A simple unified framework for
    detecting out-of-distribution samples and adversarial attacks", section 2.1). Deviations: one distribution for all
    classes, as pictures have several and many classes have few examples; and the covariance is that of probabilistic
    principal components (Tipping and Bishop 1999, section 3.2), because a few hundred pictures do not show 320 x 320
    numbers, and 16 axes take 10 kB.

    Args:
        feature: the name of what is measured.
        mean: (D,). axes: (K, D) orthonormal rows. spread: (K,) standard deviations along them.
        rest: standard deviation in every other direction.
        limit: the distance beyond which something is not known.
    """

    feature: str
    mean: Tensor
    axes: Tensor
    spread: Tensor
    rest: float
    limit: float = 1.0

    def __post_init__(self) -> None:
        fits = self.mean.ndim == 1 and self.axes.shape == (len(self.spread), len(self.mean))
        numbers = torch.cat([self.mean, self.axes.flatten(), self.spread, torch.tensor([self.rest, self.limit])])
        positive = min(self.spread.min().item() if len(self.spread) else 1.0, self.rest, self.limit) > 0
        if not (fits and bool(numbers.isfinite().all()) and positive):
            raise ValueError(f"axes {tuple(self.axes.shape)} and spread do not describe {tuple(self.mean.shape)}")

    @classmethod
    def fit(cls, vectors: Tensor, feature: str) -> "Familiarity | None":
        """Return the distribution of (N, D) vectors by maximum likelihood; None for fewer than two."""
        count, width = vectors.shape
        if count < 2:
            return None
        mean = vectors.double().mean(0)
        _, sizes, axes = torch.linalg.svd(vectors.double() - mean, full_matrices=False)
        variance = sizes**2 / (count - 1)
        kept = min(MOST_AXES, count // 4, width - 1)
        total = float(variance.sum())
        rest = max(float(variance[kept:].sum()) / (width - kept), _LEAST * total / width, 1e-12)
        spread = variance[:kept].clamp_min(rest).sqrt()
        # Stored in half precision: what is measured before and after saving is the same.
        return cls(feature, mean.float(), axes[:kept].half().float(), spread.float(), rest**0.5)

    def distance(self, vectors: Tensor) -> Tensor:
        """Return the Mahalanobis distance of (N, D) vectors in multiples of the limit, (N,) float32."""
        centred = vectors.float() - self.mean
        along = centred @ self.axes.T
        across = centred.square().sum(1) - along.square().sum(1)
        square = (along / self.spread).square().sum(1) + across.clamp_min(0) / self.rest**2
        return square.sqrt() / self.limit

    def limited(self, held_out: Tensor, share: float) -> "Familiarity | None":
        """Return it with the limit that keeps this share of (N, D) held-out vectors inside; None without any."""
        if not len(held_out):
            return None
        free = replace(self, limit=1.0)
        limit = float(free.distance(held_out).double().quantile(share, interpolation="higher"))
        return replace(self, limit=max(limit, 1e-12))


def features_to_measure(system: object) -> tuple[str | None, str | None]:
    """Return which of the trunk's features, of those that its heads read, tell of the picture and of its objects.

    The picture is told by the deepest; objects by the deepest map of at most 16 pixels a cell, else by the deepest map.

    Returns:
        Two names; None where the system has no trunk that runs once over the picture, or no map.
    """
    if not isinstance(system, Vision):
        return None, None
    trunk = system.trunk
    wanted = [name for name in trunk.channels if name in system.wanted]
    maps = [name for name in wanted if name in trunk.strides]
    fine = [name for name in maps if trunk.strides[name] <= FINE]
    return (wanted[-1] if wanted else None), next(reversed(fine or maps), None)


def picture_vector(feature: Tensor, frame: Frame) -> Tensor:
    """Return what a feature says of the picture as a whole: the mean of a map over the picture, without the padding.

    Args:
        feature: (1, D, h, w) or (1, D). frame: of the picture.

    Returns:
        (D,) float32.
    """
    if feature.ndim == 2:
        return feature[0].float()
    stride = frame.padded[0] / feature.shape[-2]
    rows, columns = (max(1, round(side / stride)) for side in frame.resized)
    return feature[0, :, :rows, :columns].float().mean(dim=(-2, -1))


def object_vectors(feature: Tensor, boxes: Tensor, frame: Frame) -> Tensor:
    """Return what a map shows inside of boxes, in the mean.

    Args:
        feature: (1, D, h, w). boxes: (N, 4) in pixels of the original picture. frame: of the picture.

    Returns:
        (N, D) float32.
    """
    down, across = frame.scale
    inside = boxes.float() * boxes.new_tensor([across, down, across, down])
    scale = feature.shape[-2] / frame.padded[0]
    index = torch.zeros(len(boxes), dtype=torch.int64)
    return roi_align(feature.float(), inside, index, output=(1, 1), scale=scale, sampling=SAMPLES)[:, :, 0, 0]


def stacked(vectors: Sequence[Tensor | None], width: int = 0) -> Tensor:
    """Return vectors (D,) or tables (N, D) as one table; what is None is left out."""
    rows = [vector if vector.ndim == 2 else vector[None] for vector in vectors if vector is not None]
    return torch.cat(rows) if rows else torch.zeros(0, width)
