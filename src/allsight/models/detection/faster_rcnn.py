"""Faster R-CNN: proposals, then regions (Ren et al. 2015, "Faster R-CNN: towards real-time object detection")."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.freezing import freeze_batch_norm
from allsight.backbones.pictures.trunk import StagePart, Trunk
from allsight.layers.conv import DepthwiseSeparable, conv
from allsight.layers.fpn import FeaturePyramid
from allsight.models.detection.anchors import Anchors
from allsight.models.detection.best import USUAL, Selection, best_objects
from allsight.models.detection.proposals import ProposalNet, ProposalOutputs
from allsight.models.detection.roi_heads import RegionNet, RegionPooling
from allsight.models.detection.torchvision_keys import TorchvisionAnchors
from allsight.models.vision import Features, Head, Vision
from allsight.ops.boxes import decode
from allsight.scene import Frame, Scene, Vocabulary


class FasterRCNNOutputs(NamedTuple):
    """Raw answers of both stages.

    Attributes:
        proposals: of the region-proposal net.
        logits: (B, N, C + 1) of every proposal, the background's first.
        deltas: (B, N, C + 1, 4) from the proposal to a box, for each class.
    """

    proposals: ProposalOutputs
    logits: Tensor
    deltas: Tensor


class FasterRCNNHead(Head):
    """Both stages on the same features, trained together.

    The proposals count as fixed when the regions learn ("approximate joint training", Ren et al. 2015, section 3.2).

    Args:
        inputs: names of the levels that proposals are made from, finest first.
        proposals: where something is.
        regions: what it is; its pooling reads the first levels of `inputs`, as many as it has strides.
        classes: names behind the labels.
        proposed: proposals of a picture that are looked at.
        proposed_in_training: proposals of a picture that `loss` draws regions from.
        selection: which of all pairs of a region and a class `decode` answers with.
    """

    def __init__(
        self,
        *,
        inputs: Sequence[str],
        proposals: ProposalNet,
        regions: RegionNet,
        classes: Vocabulary,
        proposed: int = 300,
        proposed_in_training: int = 2000,
        selection: Selection = USUAL,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        self.proposals = proposals
        self.regions = regions
        self.classes = classes
        self.proposed = proposed
        self.proposed_in_training = proposed_in_training
        self.selection = selection

    def forward(self, features: Features, frames: Sequence[Frame]) -> FasterRCNNOutputs:
        """Propose, and look at what was proposed."""
        return self._look(features, self._propose(features, frames, self.proposed))

    def loss(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of `criterion` on regions that are drawn from proposals and truth."""
        return self.criterion(self.drawn(features, frames, scenes), frames, scenes)

    def drawn(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> FasterRCNNOutputs:
        """Return the raw answers on the regions to learn from; they take the place of the proposals."""
        found = self._propose(features, frames, self.proposed_in_training)
        boxes, valid = self.regions.sample(found.boxes, found.valid, scenes)
        return self._look(features, found._replace(boxes=boxes, valid=valid))

    def criterion(
        self, outputs: FasterRCNNOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]
    ) -> dict[str, Tensor]:
        """Return "objectness" and "proposals" of the first stage, "classes" and "boxes" of the second."""
        found = outputs.proposals
        second = self.regions.criterion(outputs.logits, outputs.deltas, found.boxes, found.valid, scenes)
        return {**self.proposals.criterion(found, scenes), **second}

    def decode(self, outputs: FasterRCNNOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture, best first, in original pixels."""
        return best_objects(self.candidates(outputs), frames, self.classes, self.selection)

    def candidates(self, outputs: FasterRCNNOutputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best pairs of a region and a class: boxes (B, K, 4), labels (B, K) and scores (B, K)."""
        found = outputs.proposals
        each = outputs.logits.float().softmax(-1)[..., 1:].masked_fill(~found.valid[..., None], -1.0)
        scores, region, labels = self.selection.best_pairs(each)
        picture = torch.arange(len(region), device=region.device)[:, None]
        deltas = outputs.deltas[picture, region, labels + 1]
        return decode(deltas, found.boxes[picture, region], self.regions.weights), labels, scores

    def levels(self, features: Features) -> list[Tensor]:
        """Return the levels of the pyramid that regions are looked at on."""
        return [features[name] for name in self.inputs[: len(self.regions.pooling.strides)]]

    def _propose(self, features: Features, frames: Sequence[Frame], most: int) -> ProposalOutputs:
        found: ProposalOutputs = self.proposals([features[name] for name in self.inputs], frames[0].padded, most)
        return found

    def _look(self, features: Features, found: ProposalOutputs) -> FasterRCNNOutputs:
        return FasterRCNNOutputs(found, *self.regions(self.levels(features), found.boxes))


def faster_rcnn_c4(*, trunk: Trunk, classes: Vocabulary, channels: int = 512) -> Vision:
    """Return the papers' form: one map of stride 16, nine anchors, and the rest of the trunk looks at each region.

    On VGG-16 that is conv5_3, and fc6 and fc7 behind it (Ren et al. 2015, section 3.1.1); on ResNets c4, and all of c5
    (He et al. 2016, appendix A). Batch norms keep their statistics and are not trained, as in the latter: those of
    regions differ from those of pictures.

    Args:
        trunk: with the stages from a map of stride 16 to `pooled`.
        classes: of objects.
        channels: of the region-proposal net's hidden layer.
    """
    freeze_batch_norm(trunk)
    source = [stage.name for stage in trunk.plan if stage.stride == 16 and not stage.side][-1]
    tail = _without_pooling(trunk.cut("pooled").divide(source))
    finest = [part.stage.stride for part in tail if part.stage.stride is not None]
    body = nn.Sequential(*(module for part in tail for module in part.modules))
    seen = tail[-1].stage.channels
    anchors = Anchors((16,), size=8.0, scales=(1.0, 2.0, 4.0))
    head = FasterRCNNHead(
        inputs=(source,),
        proposals=_proposals(conv(trunk.channels[source], channels), channels, anchors, ways=2, candidates=6000),
        # What halves the map once more is given twice as much of it.
        regions=_regions(RegionPooling((16,), output=7 * max(finest, default=16) // 16), body, seen, classes),
        classes=classes,
    )
    return Vision(trunk=trunk, heads={"objects": head})


def _without_pooling(tail: Sequence[StagePart]) -> list[StagePart]:
    """Return the main path of what lies behind a map, but for max pooling, which that of regions replaces."""
    main = [part for part in tail if not part.stage.side]
    return [part for part in main if not all(isinstance(module, nn.MaxPool2d) for module in part.modules)]


class FasterRCNNParts(NamedTuple):
    """What stands on the trunk of a form with a feature pyramid, for systems that put it together with more.

    Attributes:
        neck: the pyramid.
        proposals, regions: both stages.
        pooling: makes a pooling of regions on the same levels, with another `output`.
    """

    neck: FeaturePyramid
    proposals: ProposalNet
    regions: RegionNet
    pooling: Callable[..., RegionPooling]


FPN_PROPOSALS = (1000, 2000)  # looked at, and drawn from in training (Lin et al. 2017, section 4.2)
NARROW_PROPOSALS = (100, 500)


def faster_rcnn_fpn(
    *, trunk: Trunk, classes: Vocabulary, channels: int = 256, hidden: int = 1024, torchvision: bool = False
) -> Vision:
    """Return the form on a feature pyramid (Lin et al. 2017, "Feature pyramid networks", section 4).

    Args:
        trunk: gives c2 to c5.
        classes: of objects.
        channels: width of the pyramid and the region-proposal net.
        hidden: width of the two linear layers over a region.
        torchvision: use its conventions for anchors and regions, which its published weights were trained with (see
            `allsight.models.detection.torchvision_keys`); not half a cell off, as they are now understood.
    """
    parts = fpn_parts(trunk, classes, channels=channels, hidden=hidden, torchvision=torchvision)
    return _on_pyramid(trunk, classes, parts, *FPN_PROPOSALS)


def fpn_parts(
    trunk: Trunk, classes: Vocabulary, *, channels: int, hidden: int, torchvision: bool, candidates: int = 1000
) -> FasterRCNNParts:
    """Return the parts of `faster_rcnn_fpn`; `candidates` of a level are left to suppression."""
    maps = ("c2", "c3", "c4", "c5")
    neck = FeaturePyramid({name: trunk.channels[name] for name in maps}, channels, extra=1, extra_from="pool")
    strides = [trunk.strides["c2"] * 2**level for level in range(len(neck.outputs))]
    anchors = (TorchvisionAnchors if torchvision else Anchors)(strides, size=8.0, scales=(1.0,))
    body = nn.Sequential(nn.Flatten(), *_linear(channels * 49, hidden), *_linear(hidden, hidden))
    pooling = partial(RegionPooling, strides[:4], aligned=not torchvision)
    proposals = _proposals(conv(channels, channels), channels, anchors, candidates=candidates)
    return FasterRCNNParts(neck, proposals, _regions(pooling(), body, hidden, classes, samples=512), pooling)


def faster_rcnn_narrow(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 64,
    hidden: int = 128,
    anchor_size: float = 3.0,
    finest: Literal["c2", "c3"] = "c3",
) -> Vision:
    """Return the form for two cores: p3 to p6, depthwise separable convolutions, fewer proposals and regions.

    Args:
        trunk: gives `finest` to c5.
        classes: of objects.
        channels: width of the pyramid and the region-proposal net.
        hidden: width of the two linear layers over a region.
        anchor_size: side of the square anchor of scale 1, in strides; see `retinanet_narrow`.
        finest: map that the pyramid begins with; c2 shows objects of a few pixels and their outlines better.
    """
    parts = narrow_parts(
        trunk, classes, channels=channels, hidden=hidden, anchor_size=anchor_size, finest=finest, candidates=500
    )
    return _on_pyramid(trunk, classes, parts, *NARROW_PROPOSALS)


def narrow_parts(
    trunk: Trunk,
    classes: Vocabulary,
    *,
    channels: int,
    hidden: int,
    anchor_size: float,
    finest: Literal["c2", "c3"],
    candidates: int,
) -> FasterRCNNParts:
    """Return the parts of `faster_rcnn_narrow`; `candidates` of a level are left to suppression."""
    maps = ("c2", "c3", "c4", "c5") if finest == "c2" else ("c3", "c4", "c5")
    neck = FeaturePyramid(
        {name: trunk.channels[name] for name in maps}, channels, extra=1, extra_from="pool", block=DepthwiseSeparable
    )
    strides = [trunk.strides[finest] * 2**level for level in range(len(neck.outputs))]
    anchors = Anchors(strides, size=anchor_size)
    body = nn.Sequential(
        DepthwiseSeparable(channels, channels),
        nn.ReLU(),
        nn.Flatten(),
        *_linear(channels * 49, hidden),
        *_linear(hidden, hidden),
    )
    # Pictures of 384 pixels show objects at half the size of those of 800, for which 224 was chosen.
    pooling = partial(RegionPooling, strides[: len(maps)], canonical_side=112.0)
    proposals = _proposals(DepthwiseSeparable(channels, channels), channels, anchors, candidates=candidates)
    return FasterRCNNParts(neck, proposals, _regions(pooling(), body, hidden, classes, samples=64), pooling)


def _on_pyramid(
    trunk: Trunk, classes: Vocabulary, parts: FasterRCNNParts, proposed: int, proposed_in_training: int
) -> Vision:
    head = FasterRCNNHead(
        inputs=parts.neck.outputs,
        proposals=parts.proposals,
        regions=parts.regions,
        classes=classes,
        proposed=proposed,
        proposed_in_training=proposed_in_training,
    )
    return Vision(trunk=trunk.cut("c5"), neck=parts.neck, heads={"objects": head})


def _linear(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Linear(channels, out), nn.ReLU()


def _proposals(
    hidden: nn.Module, channels: int, anchors: Anchors, ways: int = 1, candidates: int = 1000
) -> ProposalNet:
    """Return a region-proposal net that starts undecided (Ren et al. 2015, section 3.1.3: normal, deviation 0.01)."""
    objectness = nn.Conv2d(channels, ways * anchors.per_cell, 1)
    deltas = nn.Conv2d(channels, 4 * anchors.per_cell, 1)
    plain = [hidden] if isinstance(hidden, nn.Conv2d) else []
    for layer in (*plain, objectness, deltas):
        _start(layer, 0.01)
    return ProposalNet(hidden=hidden, objectness=objectness, deltas=deltas, anchors=anchors, candidates=candidates)


def _regions(
    pooling: RegionPooling, body: nn.Module, channels: int, classes: Vocabulary, samples: int = 128
) -> RegionNet:
    """Return a region net that starts undecided (Girshick 2015, section 2.3: deviations 0.01 and 0.001)."""
    classification = nn.Linear(channels, len(classes) + 1)
    regression = nn.Linear(channels, (len(classes) + 1) * 4)
    _start(classification, 0.01)
    _start(regression, 0.001)
    return RegionNet(pooling=pooling, body=body, classification=classification, regression=regression, samples=samples)


def _start(layer: nn.Module, deviation: float) -> None:
    nn.init.normal_(layer.weight, std=deviation)  # type: ignore[arg-type]
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
