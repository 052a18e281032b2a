"""`Trust`: whether a model vouches for what it says of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trust:
    """What a model that abstains says of itself: of the picture, and of its N objects.

    Distances are from what it learned, in multiples of its own limit: beyond 1 lies what it does not know.

    Args:
        picture: whether the picture as a whole is of a kind that it knows.
        distance: of the picture, None if it cannot tell.
        objects: (N,) bool, whether it knows such objects, whatever the picture.
        distances: (N,) float32 of the objects, None if it cannot tell.
    """

    picture: bool
    distance: float | None
    objects: Tensor
    distances: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """(N,) bool: it vouches for the object; in a picture that it does not know, for none."""
        return self.objects & self.picture

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: Tensor) -> "Trust":
        """Select objects."""
        distances = None if self.distances is None else self.distances[index]
        return Trust(self.picture, self.distance, self.objects[index], distances)

    @classmethod
    def cat(cls, parts: Sequence["Trust"]) -> "Trust":
        """Join the objects of several looks at a picture; what is said of the picture itself is the first look's."""
        first = parts[0]
        distances = [part.distances for part in parts if part.distances is not None]
        joined = torch.cat(distances) if len(distances) == len(parts) else None
        return cls(first.picture, first.distance, torch.cat([part.objects for part in parts]), joined)
