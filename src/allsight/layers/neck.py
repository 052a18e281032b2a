"""What stands between a trunk and the heads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Neck(nn.Module, ABC):
    """Named feature maps to named feature maps.

    Attributes:
        inputs: the names that it reads. outputs: the names that it gives.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the maps named `outputs`."""
