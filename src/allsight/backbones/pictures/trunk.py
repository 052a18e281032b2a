"""A trunk: pictures in, named feature maps out."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from allsight.errors import ModelError
from allsight.weights.files import load_state, read_state
from allsight.weights.find import find

# Statistics of ImageNet in the 0..255 scale, as torchvision's published weights expect them.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Stage(NamedTuple):
    """One named step of a trunk.

    Attributes:
        name: what the result is asked for by.
        modules: dotted names of the trunk's submodules, run one after the other.
        channels: channels of the result (length of the vector where the result is one).
        stride: pixels of the picture per cell of the result, None where the result is a vector.
        side: a side branch (an auxiliary classifier, pooling indices): reads the result of the stage before it on the
            main path, which goes on from there as if the branch were not.
    """

    name: str
    modules: tuple[str, ...]
    channels: int
    stride: int | None = None
    side: bool = False


class StagePart(NamedTuple):
    """A stage and its modules, once they are no longer a trunk's."""

    stage: Stage
    modules: tuple[nn.Module, ...]


class Trunk(nn.Module):
    """A network from pictures to named feature maps, laid out as a list of stages.

    A family is little more than its submodules (named as in its published checkpoints) and its list of stages. The
    common names are those of the feature pyramid paper (Lin et al. 2017, section 3): `c1` .. `c5` is the last map at
    stride 2, 4, 8, 16, 32; then `head`, the map that global pooling sees (where it differs from c5); `pooled` (B, D),
    the vector that the last linear layer sees; and `logits` (B, classes).

    Attributes:
        channels: for every name that can be asked for, the channels of the result.
        strides: for every name whose result is a map, pixels of the picture per cell.
        mean, std: (3,) statistics of the input in the 0..255 scale, not part of the state dict.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Sequence[Stage], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.frozen: frozenset[str] = frozenset()
        self.lay(stages)

    def lay(self, stages: Sequence[Stage]) -> None:
        """Set the list of stages, and with it `channels` and `strides`; a side branch stands behind what it reads."""
        self.plan = tuple(stages)
        self.channels = {stage.name: stage.channels for stage in stages}
        self.strides = {stage.name: stage.stride for stage in stages if stage.stride is not None}

    def stages(self) -> dict[str, tuple[nn.Module, ...]]:
        """The modules of every stage by name, in the order in which they run."""
        return {stage.name: tuple(map(self.get_submodule, stage.modules)) for stage in self.plan}

    def normalise(self, pictures: Tensor) -> Tensor:
        """Make uint8 pictures (B, 3, H, W) floats by mean and std; floats are taken as normalised."""
        if pictures.dtype != torch.uint8:
            return pictures
        return (pictures.to(self.mean.dtype) - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)

    def forward(self, pictures: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Compute the named results, and no further than the deepest of them.

        Args:
            pictures: (B, 3, H, W) RGB, uint8 as decoded or floating and already normalised with `mean` and `std`.
            names: keys of `channels`.

        Returns:
            dict in the order of `names`: maps (B, channels[name], H / strides[name], W / strides[name]) or vectors.

        Raises:
            ModelError: a name that this trunk does not have.
        """
        waiting = set(names)
        if unknown := waiting - self.channels.keys():
            raise ModelError(
                f"{type(self).__name__} has no {sorted(unknown)}; ask for some of: {', '.join(self.channels)}"
            )
        found: dict[str, Tensor] = {}
        main = self.normalise(pictures)
        for stage in self.plan:
            if not waiting:
                break
            if stage.side and stage.name not in waiting:
                continue
            result = self._run(stage, main)
            if stage.name in waiting:
                found[stage.name] = result
                waiting.remove(stage.name)
            if not stage.side:
                main = result
        return {name: found[name] for name in names}

    def _run(self, stage: Stage, x: Tensor) -> Tensor:
        for name in stage.modules:
            x = self.get_submodule(name)(x)
        return x

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except in frozen stages (see `allsight.backbones.pictures.freezing`)."""
        super().train(mode)
        for name, modules in self.stages().items():
            if name in self.frozen:
                for module in modules:
                    module.eval()
        return self

    def cut(self, after: str) -> Self:
        """Remove every stage behind `after`, so that no parameter goes unused (distributed training needs that).

        Args:
            after: the last stage that stays; a side branch that starts from it goes too.

        Raises:
            ModelError: a name that this trunk does not have.
        """
        self.divide(after)
        return self

    def divide(self, after: str) -> tuple[StagePart, ...]:
        """Cut behind a stage, and return what lay behind it, for whoever goes on with it: in order, side branches too.

        Args:
            after: see `cut`.

        Raises:
            ModelError: a name that this trunk does not have.
        """
        if after not in self.channels:
            raise ModelError(f"{type(self).__name__} has no stage {after!r}; it has: {', '.join(self.channels)}")
        last = list(self.channels).index(after) + 1
        stages = self.stages()
        behind = tuple(StagePart(stage, stages[stage.name]) for stage in self.plan[last:])
        kept = {name for stage in self.plan[:last] for name in stage.modules}
        for name in {name for stage in self.plan[last:] for name in stage.modules} - kept:
            parent, _, child = name.rpartition(".")
            delattr(self.get_submodule(parent), child)
        self.lay(self.plan[:last])
        return behind


def initialise(module: nn.Module) -> None:
    """Start the weights of every convolution and linear layer for training from scratch.

    Convolutions are normal with variance 2 / fan-out, where a group counts by itself (He et al. 2015, section 2.2, the
    backward form), linear layers normal with standard deviation 0.01; biases are zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.weight[:, 0].numel() / layer.groups
            nn.init.normal_(layer.weight, std=(2 / fan_out) ** 0.5)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def with_weights(trunk: Trunk, weights: str | Path | None) -> Trunk:
    """Load a published checkpoint into a trunk.

    Args:
        trunk: a trunk whose keys are those of the checkpoint.
        weights: a place as `allsight.weights.find.find` takes it; None leaves the trunk as it is.

    Raises:
        WeightsError: nothing there, or a checkpoint of another architecture.
    """
    if weights is not None:
        path = find(str(weights))
        load_state(trunk, read_state(path), source=str(path))
    return trunk
