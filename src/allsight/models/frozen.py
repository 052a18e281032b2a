"""What is left of a picture system to compute, and to learn, once its trunk's features are known."""

import hashlib
from collections.abc import Collection, Sequence
from functools import cache
from typing import Literal, cast

import torch
from torch import Tensor

from allsight.backbones.pictures.trunk import Trunk
from allsight.data.features import Eyes, FeatureBatch
from allsight.layers.folding import folded
from allsight.models.vision import Head, Vision, VisionOutputs

_LOOK = 64  # pixels of the picture with which a trunk shows how it is built


class AfterTrunk(Vision):
    """Neck and heads of a system, sharing their weights with it, on features that its trunk gave before.

    In place of the trunk it has one without stages and so without weights: none in checkpoints, none to train.

    Args:
        vision: the whole system.
        without: names of heads that are left out, because they do not learn.
    """

    def __init__(self, vision: Vision, without: Collection[str] = ()) -> None:
        heads = {name: cast(Head, head) for name, head in vision.heads.items() if name not in without}
        none = Trunk((), vision.trunk.mean.tolist(), vision.trunk.std.tolist())
        super().__init__(trunk=none, neck=vision.neck, heads=heads)

    def forward(self, batch: FeatureBatch) -> VisionOutputs:  # type: ignore[override]
        """Return what all heads make of the features."""
        return self.outputs_of(self.with_neck(batch.features), batch.frames)

    def loss(self, batch: FeatureBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the terms of all heads, named as `Vision.loss` names them."""
        return self.loss_of(self.with_neck(batch.features), batch.frames, batch.scenes)


def eyes_of(trunk: Trunk, names: Sequence[str], precision: Literal["float32", "bfloat16"]) -> Eyes:
    """Return a frozen trunk as what sees pictures, named by a hash of its weights, the features and the precision.

    Strides are hashed too: a dilated trunk has the weights of one that is not.

    Args:
        trunk: in evaluation mode, as a frozen one always is.
        names: of the features that are wanted.
        precision: of the computation; the features are kept in float16.
    """
    strides = [(name, trunk.strides.get(name)) for name in names]
    digest = hashlib.sha256(f"{type(trunk).__name__} {strides} {precision}".encode())
    for name, tensor in (*trunk.state_dict().items(), ("mean", trunk.mean), ("std", trunk.std)):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())

    @cache
    def sooner() -> Trunk:
        return folded(trunk, torch.zeros(1, 3, _LOOK, _LOOK, dtype=torch.uint8), names)

    @torch.no_grad()
    def see(pictures: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return sooner()(pictures.contiguous(memory_format=torch.channels_last), names)

    return Eyes(digest.hexdigest(), tuple(names), see)
