"""Holding parts of a trunk still, and trading stride for dilation."""

from typing import Any

from torch import nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.errors import ModelError


def freeze(trunk: Trunk, until: str | None) -> None:
    """Freeze a trunk's stages up to and including one, and thaw those behind it.

    Frozen stages get no gradients, build no autograd graph (nothing in them asks for one) and stay in evaluation mode
    also after `.train()`, so batch norms keep their statistics and dropout is off.

    Args:
        trunk: changed in place.
        until: a name of `trunk.stages()`; "logits" freezes the whole trunk, None thaws it.

    Raises:
        ModelError: a name that the trunk does not have.
    """
    stages = trunk.stages()
    if until is not None and until not in stages:
        raise ModelError(f"{type(trunk).__name__} has no stage {until!r}; freeze until one of: {', '.join(stages)}")
    names = list(stages)
    trunk.frozen = frozenset(names[: names.index(until) + 1] if until else ())
    for name, modules in stages.items():
        for part in (part for module in modules for part in module.modules()):
            learns = name not in trunk.frozen and not isinstance(part, FrozenBatchNorm2d)
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(learns)
    trunk.train(trunk.training)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A batch norm that always acts with its running statistics and is never updated; the keys stay the same."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm2d":
        """Stay in evaluation mode."""
        super().train(False)
        return self


def freeze_batch_norm(module: nn.Module) -> None:
    """Make every batch norm below `module` a fixed affine map, also after `.train()`.

    Scale and shift are not trained either, as in the fine-tuning of the ResNet paper's detectors (He et al. 2016,
    appendix A) and the detection libraries after it: with batches of a few pictures their statistics are worse than
    the old ones.

    Args:
        module: changed in place; parameters are taken over, so an optimiser may be built before or after.
    """
    for parent in list(module.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, nn.BatchNorm2d) and not isinstance(norm, FrozenBatchNorm2d):
                frozen = FrozenBatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta")
                frozen._parameters, frozen._buffers = norm._parameters, norm._buffers
                parent.add_module(name, frozen.requires_grad_(False).eval())


def dilate(trunk: Trunk, output_stride: int) -> None:
    """Keep the last stages on a finer grid: dilated convolutions in place of strided ones, with the same weights.

    Where the grid gets n times finer, each n-th cell, from the first on, is exactly the strided net's (Chen et al.
    2017, "Rethinking Atrous Convolution", section 3.1); in EfficientNet-Lite from the n-th on, as its strided
    convolutions look to the right and below. VGG's poolings go altogether, as in Yu and Koltun 2016, section 4.

    Args:
        trunk: changed in place: its layers and `strides`.
        output_stride: no stage is coarser afterwards; one of `trunk.strides`.

    Raises:
        ModelError: no stage has that stride, or a layer that cannot be dilated so (unpadded ones, in GoogLeNet and
            Inception-v3); the trunk is unchanged.
    """
    if output_stride not in trunk.strides.values():
        known = sorted(set(trunk.strides.values()))
        raise ModelError(f"{type(trunk).__name__} cannot be dilated to stride {output_stride}; take one of {known}")
    coarse = [stage for stage in trunk.plan if stage.stride is not None and stage.stride > output_stride]
    main = [stage for stage in coarse if not stage.side]
    layers = {
        path: layer
        for name in dict.fromkeys(name for stage in main for name in stage.modules)
        for path, layer in trunk.get_submodule(name).named_modules(prefix=name)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    }
    if refused := [path for path, layer in layers.items() if not (_centred(layer) or _halves(layer))]:
        raise ModelError(f"{type(trunk).__name__} cannot be dilated: {refused[0]} is not padded to keep the grid")
    factor = 1
    for path, layer in layers.items():
        if _halves(layer):
            trunk.set_submodule(path, nn.Identity())
            factor *= 2
        else:
            factor *= _dilate_layer(layer, factor)
    # Side branches on maps that are no longer halved, such as pooling indices, have lost their meaning.
    stays = [stage for stage in trunk.plan if stage in main or stage not in coarse]
    trunk.lay([s._replace(stride=s.stride and min(s.stride, output_stride)) for s in stays])


def _pair(value: Any) -> tuple[int, int]:
    """A convolution has pairs where a pooling may have single numbers."""
    return (value, value) if isinstance(value, int) else value


def _halves(layer: nn.Conv2d | nn.MaxPool2d) -> bool:
    """A pooling of 2x2 cells, which has no centre to be dilated about."""
    return isinstance(layer, nn.MaxPool2d) and _pair(layer.kernel_size) == (2, 2)


def _centred(layer: nn.Conv2d | nn.MaxPool2d) -> bool:
    """An odd kernel with as much padding as it reaches out."""
    sizes = zip(_pair(layer.kernel_size), _pair(layer.padding), _pair(layer.dilation), strict=True)
    return all(kernel % 2 == 1 and padding == dilation * (kernel // 2) for kernel, padding, dilation in sizes)


def _dilate_layer(layer: nn.Conv2d | nn.MaxPool2d, factor: int) -> int:
    """Run on a grid that is `factor` times finer; returns how much finer the next layer's grid is beside that.

    A strided 1x1 convolution is the shortcut beside a strided 3x3, so it does not count a second time.
    """
    stride = max(_pair(layer.stride))
    layer.stride = (1, 1)
    layer.dilation, layer.padding = (
        (rows * factor, columns * factor) for rows, columns in (_pair(layer.dilation), _pair(layer.padding))
    )
    return stride if _pair(layer.kernel_size) != (1, 1) else 1
