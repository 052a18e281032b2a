"""What stands between a trunk and the heads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from allsight.errors import ModelError


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


class Necks(Neck):
    """Several necks side by side, each with outputs of its own.

    Args:
        necks: by name.

    Raises:
        ModelError: two of them give outputs of the same name.
    """

    def __init__(self, necks: Mapping[str, Neck]) -> None:
        super().__init__()
        self.necks = nn.ModuleDict(necks)
        self.inputs = tuple(dict.fromkeys(name for neck in necks.values() for name in neck.inputs))
        self.outputs = tuple(name for neck in necks.values() for name in neck.outputs)
        if len(set(self.outputs)) < len(self.outputs):
            raise ModelError(f"necks give the same names: {', '.join(self.outputs)}; give each another prefix")

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what all of them give."""
        return {name: value for neck in self.necks.values() for name, value in neck(features).items()}
