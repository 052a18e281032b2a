"""Detection by classifying every window: what detectors did before proposals and anchors."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.data.pictures.loading import Batch
from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.best import Selection, best_objects
from allsight.models.detection.matcher import BACKGROUND, Matcher, Targets
from allsight.models.detection.sampling import sample
from allsight.models.system import Answering
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary

SIZES = tuple((side, side) for side in (24, 34, 48, 68, 96, 136))
SELECTION = Selection(nms_iou=0.3)


class WindowOutputs(NamedTuple):
    """Of all windows: logits (B, A, C + 1), the background's last, and where they lie (A, 4), in the model's pixels."""

    logits: Tensor
    windows: Tensor


class WindowDetector(Answering[Frame, Scene]):
    """A classifier slides over the picture in several sizes; overlapping answers are suppressed.

    For every size of window the whole picture is scaled so that a window covers `cells` x `cells` cells of the trunk's
    map, the trunk runs once over it, and the classifier is a convolution over the map (Sermanet et al. 2014,
    "OverFeat", section 3.5): neighbouring windows share their work. Up to the trunk's padding, each answer is that of
    the classifier on the window cut out and scaled to `cells` times the trunk's stride.

    The cost is that of the trunk over a pyramid of pictures: a size of w pixels costs (cells x stride / w) squared
    times one pass over the picture itself. Cutting windows out costs, instead, one pass over cells x stride pixels a
    side for each of them; that is cells squared as much. No box is refined: what lies between two places or two sizes
    of windows is found by neither quite rightly.

    Args:
        trunk: pictures to feature maps.
        source: the trunk's map that the classifier reads.
        classifier: map (B, D, h, w) to (B, C + 1, h - cells + 1, w - cells + 1), the background last.
        classes: names behind the C labels.
        cells: side of a window in cells; windows are one cell apart.
        sizes: (height, width) of the windows in pixels of the model; other shapes than squares are scaled to one.
        matcher: which window answers for which object; stricter than for anchors, because no box is refined (a trial
            on blood cells: AP 0.25 and AP75 0.12, with 0.5 only 0.20 and 0.03, at nearly the same AP50).
        samples: windows of a picture that are learned from, at most a quarter of them objects (Girshick et al. 2014,
            "R-CNN", section 2.3). Up to half of the rest are false positives (see
            `allsight.models.detection.bootstrap`): they are added to the background drawn at random, they do not
            replace it.
        selection: which of all pairs of a window and a class `decode` answers with.
    """

    def __init__(
        self,
        *,
        trunk: Trunk,
        source: str,
        classifier: nn.Module,
        classes: Vocabulary,
        cells: int = 6,
        sizes: Sequence[tuple[int, int]] = SIZES,
        matcher: Matcher | None = None,
        samples: int = 64,
        selection: Selection = SELECTION,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.source = source
        self.classifier = classifier
        self.classes = classes
        self.cells = cells
        self.sizes = tuple((height, width) for height, width in sizes)
        self.matcher = matcher or Matcher(positive=0.6)
        self.samples = samples
        self.selection = selection

    def forward(self, pictures: Tensor) -> WindowOutputs:
        """Classify every window.

        Args:
            pictures: (B, 3, H, W) uint8 of the model's own size, or floats that the trunk has normalised.
        """
        pictures = self.trunk.normalise(pictures)
        logits, windows = zip(*(self._classify(pictures, size) for size in self.sizes), strict=True)
        return WindowOutputs(torch.cat(logits, dim=1), torch.cat(windows))

    def _classify(self, pictures: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return logits (B, h * w, C + 1) and windows (h * w, 4) of one size, row by row."""
        sides = pictures.shape[-2:]
        # In a picture smaller than the window one window covers all of it.
        grid = [max(self.cells, round(side * self.cells / window)) for side, window in zip(sides, size, strict=True)]
        scaled = F.interpolate(
            pictures, [cells * self.trunk.strides[self.source] for cells in grid], mode="bilinear", antialias=True
        )
        logits = self.classifier(self.trunk(scaled, (self.source,))[self.source])
        step_y, step_x = (side / cells for side, cells in zip(sides, grid, strict=True))
        y = torch.arange(logits.shape[-2], device=logits.device) * step_y
        x = torch.arange(logits.shape[-1], device=logits.device) * step_x
        top, left = torch.meshgrid(y, x, indexing="ij")
        windows = torch.stack([left, top, left + self.cells * step_x, top + self.cells * step_y], dim=-1)
        return logits.flatten(2).mT, windows.reshape(-1, 4)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return "windows": cross-entropy of sampled windows."""
        return self.criterion(self(batch.pictures), batch.scenes)

    def criterion(self, outputs: WindowOutputs, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Compare outputs with the truth; boxes of a class behind the known ones are examples of background."""
        labels, wrong = self._targets(outputs.windows, scenes)
        chosen = sample(labels, self.samples, self.samples // 4, wrong)
        truth = torch.where(labels == BACKGROUND, len(self.classes), labels).clamp_min(0)
        loss = F.cross_entropy(outputs.logits.float().mT, truth, reduction="none")
        return {"windows": (loss * chosen).sum() / mean_over_ranks(chosen.sum())}

    def _targets(self, windows: Tensor, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Return (B, A) the label of every window, and (B, A) bool where it was wrongly taken for an object."""
        objects, wrong = [], []
        for scene in scenes:
            if scene.boxes is None or scene.labels is None:
                objects.append(scene)
                wrong.append(windows.new_zeros(len(windows), dtype=torch.bool))
                continue
            known = scene.labels < len(self.classes)
            objects.append(scene.keep(known))
            overlap = pairwise_iou(windows, scene.boxes[~known].to(windows.device))
            wrong.append((overlap >= self.matcher.positive).any(1))
        return Targets(windows, objects, self.matcher).labels, torch.stack(wrong)

    def decode(self, outputs: WindowOutputs, places: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture, best first, in original pixels."""
        each = outputs.logits.float().softmax(-1)[..., : len(self.classes)]
        scores, window, labels = self.selection.best_pairs(each)
        return best_objects((outputs.windows[window], labels, scores), places, self.classes, self.selection)


def windows(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    source: str = "c3",
    cells: int = 6,
    sizes: Sequence[tuple[int, int]] = SIZES,
    hidden: int = 64,
) -> WindowDetector:
    """Return a detector that classifies every window with one hidden layer over the trunk's map.

    Args:
        trunk: gives `source`; what lies behind that is cut off.
        classes: of objects.
        source, cells, sizes: see `WindowDetector`.
        hidden: units of the classifier.
    """
    classifier = nn.Sequential(
        nn.Conv2d(trunk.channels[source], hidden, cells), nn.ReLU(), nn.Conv2d(hidden, len(classes) + 1, 1)
    )
    return WindowDetector(
        trunk=trunk.cut(source), source=source, classifier=classifier, classes=classes, cells=cells, sizes=sizes
    )
