"""An exponential moving average of a model's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """Averaged twins of the learnable parameters and the floating-point buffers of a module.

    The decay after t updates is min(decay, (1 + t) / (10 + t)), so that the random beginning is soon forgotten.
    Frozen parameters and integer buffers have no twin: the average would be what they are.

    Args:
        module: the model, already on its device.
        decay: of the average once it is warm, 0 to 1.

    Source: Polyak and Juditsky 1992; the warm-up is that of Tan and Le's EfficientNet training
    (tf.train.ExponentialMovingAverage).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        learned = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
        buffers = {name: b for name, b in module.named_buffers() if b.is_floating_point()}
        self.live: dict[str, Tensor] = learned | buffers
        self.average = {name: tensor.clone() for name, tensor in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Draw the average towards the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.average.values()), list(self.live.values()), 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Let the module have the averaged weights inside the `with` block, and its own again afterwards."""
        own = [tensor.clone() for tensor in self.live.values()]
        live = list(self.live.values())
        try:
            with torch.no_grad():
                torch._foreach_copy_(live, list(self.average.values()))
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(live, own)

    def state_dict(self) -> dict[str, object]:
        """Everything that is needed to go on."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from a `state_dict` of the same model."""
        self.updates = state["updates"]
        for name, tensor in self.average.items():
            tensor.copy_(state["average"][name])

    @torch.no_grad()
    def copy_into_module(self) -> None:
        """Give the module the averaged weights for good."""
        torch._foreach_copy_(list(self.live.values()), list(self.average.values()))
