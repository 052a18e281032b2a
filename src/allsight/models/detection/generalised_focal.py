"""`GeneralisedFocalHead`: scores that say how well a box fits, sides as distributions, and no anchors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allsight.layers.conv_norm import separable
from allsight.losses.distribution_focal import distribution_focal_loss
from allsight.losses.quality_focal import quality_focal_loss
from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.anchors import flatten_levels
from allsight.models.detection.assign_guidance import AssignGuidance
from allsight.models.detection.best import Selection, best_objects
from allsight.models.detection.matcher import IGNORED
from allsight.models.detection.side_distributions import boxes_around, distances_to, expected, places
from allsight.models.detection.soft_label_assigner import SoftLabelAssigner, SoftTargets
from allsight.models.vision import Features, Head
from allsight.ops.boxes import aligned_giou
from allsight.scene import Frame, Scene, Vocabulary

SELECTION = Selection(nms_iou=0.6)


class GeneralisedFocalOutputs(NamedTuple):
    """Raw answers of all places: logits (B, P, C), sides (B, P, 4, N) logits of 0 to N - 1 strides, places (P, 3)."""

    logits: Tensor
    sides: Tensor
    places: Tensor


class SeparableSubnets(nn.Module):
    """A subnet for every level: depthwise separable convolutions, then classes and sides by one 1x1 convolution.

    Args:
        channels: of the levels and within. out: classes, then four sides times the numbers of a distribution.
        levels: how many. kernel: of the filters. depth: hidden convolutions.
        normalised, slope: see `allsight.layers.conv_norm.conv_norm`.
    """

    def __init__(
        self, channels: int, out: int, levels: int, *, kernel: int, depth: int, normalised: bool, slope: float
    ) -> None:
        super().__init__()

        def hidden() -> nn.Sequential:
            made = (separable(channels, channels, kernel, normalised=normalised, slope=slope) for _ in range(depth))
            return nn.Sequential(*(layer for layers in made for layer in layers))

        self.hidden = nn.ModuleList(hidden() for _ in range(levels))
        self.last = nn.ModuleList(nn.Conv2d(channels, out, 1) for _ in range(levels))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """List of (B, channels, h, w) to list of (B, out, h, w), level by level."""
        return [last(hidden(x)) for hidden, last, x in zip(self.hidden, self.last, levels, strict=True)]


class GeneralisedFocalHead(Head):
    """The head of NanoDet-Plus: generalised focal loss (Li et al. 2020), with places assigned by what is found.

    Args:
        levels: names of the pyramid's maps, finest first. strides: pixels per cell of each.
        subnets: list of maps to list of maps of classes, then four sides times `numbers` channels.
        classes: names behind the labels.
        numbers: of a side's distribution: 0 to numbers - 1 strides.
        assigner: which place answers for which object.
        guidance: assigns the places in training, and learns to; by default the head does it by its own answers.
        box_weight, side_weight: of these terms in the sum.
        selection: which of all pairs of a place and a class `decode` answers with.
    """

    def __init__(
        self,
        *,
        levels: Sequence[str],
        strides: Sequence[int],
        subnets: SeparableSubnets,
        classes: Vocabulary,
        numbers: int = 8,
        assigner: SoftLabelAssigner = SoftLabelAssigner(),  # noqa: B008 - frozen
        guidance: AssignGuidance | None = None,
        box_weight: float = 2.0,
        side_weight: float = 0.25,
        selection: Selection = SELECTION,
    ) -> None:
        super().__init__()
        self.levels, self.strides = tuple(levels), tuple(strides)
        self.inputs = (*self.levels, *(guidance.neck.inputs if guidance is not None else ()))
        self.subnets = subnets
        self.classes = classes
        self.numbers = numbers
        self.assigner = assigner
        self.guidance = guidance
        self.box_weight, self.side_weight = box_weight, side_weight
        self.selection = selection
        self.labels: Tensor | None
        self.register_buffer("labels", None, persistent=False)  # behind the logits, where not all classes have one

    def forward(self, features: Features, frames: Sequence[Frame]) -> GeneralisedFocalOutputs:
        """Return the raw answers of all places."""
        return self._outputs(self.subnets(self._maps(features)))

    def _maps(self, features: Features) -> list[Tensor]:
        return [features[name] for name in self.levels]

    def _outputs(self, maps: Sequence[Tensor]) -> GeneralisedFocalOutputs:
        width = maps[0].shape[1]
        answers = flatten_levels(maps, width)
        logits, sides = answers.split([width - 4 * self.numbers, 4 * self.numbers], dim=2)
        where = places([(x.shape[-2], x.shape[-1]) for x in maps], self.strides, answers.device)
        return GeneralisedFocalOutputs(logits, sides.unflatten(2, (4, self.numbers)), where)

    def loss(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of `criterion`, and those of the guidance, which assigns, where there is one."""
        if self.guidance is None:
            return super().loss(features, frames, scenes)
        maps = self._maps(features)
        outputs, guided = self._outputs(self.subnets(maps)), self._outputs(self.guidance(features, maps))
        targets = self._targets(guided, scenes)
        own, auxiliary = self._terms(outputs, targets), self._terms(guided, targets)
        return {**own, **{f"guidance {name}": term for name, term in auxiliary.items()}}

    def criterion(
        self, outputs: GeneralisedFocalOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]
    ) -> dict[str, Tensor]:
        """Return "classes" (quality focal), "boxes" (GIoU) and "sides" (distribution focal), by its own assignment."""
        return self._terms(outputs, self._targets(outputs, scenes))

    def _targets(self, outputs: GeneralisedFocalOutputs, scenes: Sequence[Scene]) -> SoftTargets:
        found = boxes_around(outputs.places, expected(outputs.sides.detach()))
        return SoftTargets.of(outputs.logits.detach(), found, outputs.places, scenes, self.assigner)

    def _terms(self, outputs: GeneralisedFocalOutputs, targets: SoftTargets) -> dict[str, Tensor]:
        """Return the terms; a box counts as much as its place's best score, and their sum is what they are divided by.

        All places are computed, and zeros taken for those that are not positive: to pick these out the host would have
        to wait for their number.
        """
        logits, sides, where = outputs.logits.float(), outputs.sides.float(), outputs.places
        positive = targets.labels >= 0
        quality = torch.zeros_like(logits).scatter_(
            2, targets.labels.clamp_min(0)[..., None], targets.overlaps[..., None]
        )
        judged = (targets.labels != IGNORED)[..., None]
        classes = (quality_focal_loss(logits, quality) * judged).sum() / mean_over_ranks(positive.sum())
        weights = logits.detach().sigmoid().amax(2) * positive
        total = mean_over_ranks(weights.sum())
        overlaps = aligned_giou(boxes_around(where, expected(sides)), targets.boxes)
        # A side further away than the last number cannot be said; the last but a tenth is its neighbour.
        distances = distances_to(where, targets.boxes).clamp(0, self.numbers - 1.1)
        apart = distribution_focal_loss(sides, distances).mean(-1)
        return {
            "classes": classes,
            "boxes": self.box_weight * ((1 - overlaps) * weights).sum() / total,
            "sides": self.side_weight * (apart * weights).sum() / total,
        }

    def decode(self, outputs: GeneralisedFocalOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture, best first, in original pixels."""
        return best_objects(self.candidates(outputs), frames, self.classes, self.selection)

    def candidates(self, outputs: GeneralisedFocalOutputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best pairs of a place and a class: boxes (B, K, 4), labels (B, K) and scores (B, K)."""
        logits, place, labels = self.selection.best_pairs(outputs.logits.float())
        chosen = place[..., None].expand(-1, -1, 4 * self.numbers)
        sides = outputs.sides.flatten(2).gather(1, chosen).unflatten(2, (4, self.numbers))
        labels = labels if self.labels is None else self.labels[labels]
        return boxes_around(outputs.places[place], expected(sides)), labels, logits.sigmoid()

    def narrow(self, least: Callable[[str], float]) -> None:
        """Leave out the logits of classes that are not wanted: the others' stay what they were."""
        wanted = [label for label, name in enumerate(self.classes) if least(name) <= 1] or [0]
        if len(wanted) == len(self.classes):
            return
        self.labels = torch.tensor(wanted)
        rows = torch.tensor([*wanted, *range(len(self.classes), len(self.classes) + 4 * self.numbers)])
        for last in self.subnets.last:
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            last.weight = nn.Parameter(last.weight.detach()[rows])
            last.bias = nn.Parameter(last.bias.detach()[rows])
            last.out_channels = len(rows)
