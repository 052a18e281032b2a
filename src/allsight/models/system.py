"""`System`: what every learnable system of the house is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from allsight.scene import Frame, Scene


class System(nn.Module, ABC):
    """A module with three verbs over its own kind of batch: forward, loss, decode."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Any:
        """Return raw tensors in a NamedTuple, every intermediate worth seeing; exportable."""

    @abstractmethod
    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return named scalar terms; their sum is minimised."""

    @abstractmethod
    def decode(self, outputs: Any, frames: Sequence[Frame]) -> list[Scene]:
        """Return final answers in the pixels of the original pictures, one a frame."""
