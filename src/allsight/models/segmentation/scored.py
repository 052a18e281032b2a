"""Regions with their probabilities, so that a person can be shown those that are sure."""

from collections.abc import Sequence

import torch
from torch import Tensor

from allsight.models.segmentation.region_head import RegionHead, RegionOutputs
from allsight.ops.pixels import best_at_pixels
from allsight.scene import Frame, Scene
from allsight.scene.vocabulary import IGNORE


class ScoredRegionHead(RegionHead):
    """`RegionHead` that also says how probable the class of every pixel is.

    Its loss is computed on the decoder's own grid, against the pixel at each cell's centre: with 27 classes, logits at
    full size would take a quarter of a training step.
    """

    def criterion(self, outputs: RegionOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the losses by name, over the cells whose class is annotated."""
        height, width = outputs.logits.shape[-2:]
        rows, columns = (
            ((torch.arange(cells) + 0.5) * side / cells).long()
            for cells, side in zip((height, width), frames[0].padded, strict=True)
        )
        unknown = torch.full((height, width), IGNORE)
        truth = [unknown if s.regions is None else s.regions[rows][:, columns].long() for s in scenes]
        stacked = torch.stack(truth).to(outputs.logits.device, non_blocking=True)
        return {name: loss(outputs.logits.float(), stacked) for name, loss in self.losses.items()}

    def decode(self, outputs: RegionOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the most probable class of every pixel of the original pictures, and its probability."""
        scenes = []
        for logits, frame in zip(outputs.logits, frames, strict=True):
            regions, scores = most_probable(logits.float(), frame)
            regions, scores = regions.cpu(), scores.cpu()
            scenes.append(Scene(frame.original, regions=regions, region_scores=scores, region_classes=self.classes))
        return scenes


def most_probable(logits: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return the most probable class at every pixel of the original picture, and its probability.

    Probabilities are read bilinearly at the pixel's centre.

    Args:
        logits: (C, h, w) over the padded picture. frame: how the picture came to its padded size.

    Returns:
        (H, W) int64, (H, W) float32.
    """
    scores, labels = best_at_pixels(logits.softmax(0), frame)
    return labels, scores
