"""Where in the picture the answer comes from: activation maps as functions of named outputs, no hooks.

*What* to explain is a small callable on a system's outputs; *how* is the function that is given it.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from allsight.models.vision import Vision, VisionOutputs

What = Callable[[VisionOutputs], Tensor]


def tag(label: int, head: str = "tags") -> What:
    """Explain the logit of one class of a tag head: a callable from outputs to (B,)."""
    return lambda outputs: outputs.heads[head].logits[:, label]


def class_activation_map(features: Tensor, weights: Tensor) -> Tensor:
    """Sum a feature map by the weights of a class's logit, where a linear layer follows average pooling.

    Zhou et al. 2016, "Learning deep features for discriminative localization", equation 2; negative evidence is cut.

    Args:
        features: (B, D, h, w), the map that is averaged. weights: (B, D) or (D,), the class's row.

    Returns:
        (B, h, w), not negative.
    """
    return torch.einsum("bdhw,bd->bhw", features, weights.expand(len(features), -1)).relu()


def grad_cam(system: Vision, pictures: Tensor, what: What, *, layer: str) -> Tensor:
    """Weigh a feature map by the mean gradient of what is to be explained.

    Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2. Works for any trunk and head.

    Args:
        system: in evaluation mode.
        pictures: (B, 3, H, W) uint8.
        what: outputs to (B,), for instance `tag(281)`.
        layer: a feature that the trunk gives, such as c5; it need not be one that a head reads.

    Returns:
        (B, h, w), not negative.
    """
    with torch.enable_grad():
        # Asking for gradients of the input builds the graph through frozen stages too.
        outputs = system(system.trunk.normalise(pictures).requires_grad_(), also=(layer,))
        feature = outputs.features[layer]
        (gradient,) = torch.autograd.grad(what(outputs).sum(), feature)
    return class_activation_map(feature.detach(), gradient.mean(dim=(-2, -1)))


def locate(heat: Tensor, size: tuple[int, int], share: float = 0.4) -> tuple[Tensor, Tensor]:
    """Turn an activation map into a mask and a box: what is warmer than a share of the maximum, largest piece only.

    Zhou et al. 2016, section 3.3 (there 0.2 of the maximum, on maps of twice the resolution).

    Args:
        heat: (h, w), not negative.
        size: (height, width) of the part of the picture that the map stands for.
        share: of the maximum.

    Returns:
        box (4,) in pixels and mask (height, width) bool; both empty where the map is 0 everywhere.
    """
    fine = F.interpolate(heat[None, None].float(), size=size, mode="bilinear", align_corners=False)[0, 0]
    warm = (fine > share * fine.max()).numpy()
    pieces, count = ndimage.label(warm)
    if count == 0:
        return torch.zeros(4), torch.zeros(size, dtype=torch.bool)
    if count > 1:
        warm = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    rows, columns = np.flatnonzero(warm.any(1)), np.flatnonzero(warm.any(0))
    box = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=torch.float32)
    return box, torch.from_numpy(warm)
