"""The objects of a Scene one by one: counted, chosen by name or mask, and cut out of the picture."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.showing import image_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from allsight.scene.scene import Scene

MARGIN = 0.1  # of the longer side of a box, around what is cut out


@dataclass(frozen=True, eq=False)
class Instance:
    """One object of a scene.

    Args:
        scene: whose. index: its place there, from 0.
    """

    scene: "Scene"
    index: int

    @property
    def name(self) -> str | None:
        """The name of its class, or its number where classes have no names; None if it has no label."""
        if self.scene.labels is None:
            return None
        label = int(self.scene.labels[self.index])
        return self.scene.object_classes[label] if self.scene.object_classes is not None else str(label)

    @property
    def score(self) -> float | None:
        """From 0 to 1; None on what a person drew."""
        return None if self.scene.scores is None else float(self.scene.scores[self.index])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 in pixels.

        Raises:
            AnnotationError: the scene has no boxes.
        """
        if self.scene.boxes is None:
            raise AnnotationError(f"{self.scene.source or 'a scene'}: has no boxes")
        x1, y1, x2, y2 = self.scene.boxes[self.index].tolist()
        return x1, y1, x2, y2

    @property
    def mask(self) -> Tensor | None:
        """(H, W) bool, the pixels that it covers; None if the scene has no masks."""
        return None if self.scene.masks is None else self.scene.masks[torch.tensor([self.index])].dense()[0]

    @property
    def weak(self) -> bool:
        """Whether it only shows where a tag of the picture comes from."""
        return self.scene.weak is not None and bool(self.scene.weak[self.index])

    def __repr__(self) -> str:
        score = "" if self.score is None else f" {self.score:.2f}"
        return f"Instance({self.name}{score} at {[round(side) for side in self.box]})"

    def window(self, margin: float = MARGIN) -> tuple[int, int, int, int]:
        """Return its box with a margin, in whole pixels within the picture: x1, y1, x2, y2, at least one each way.

        Args:
            margin: on every side, as a share of the longer side of the box.
        """
        x1, y1, x2, y2 = self.box
        more = margin * max(x2 - x1, y2 - y1)
        height, width = self.scene.size
        left, top = min(max(int(x1 - more), 0), width - 1), min(max(int(y1 - more), 0), height - 1)
        right, bottom = min(math.ceil(x2 + more), width), min(math.ceil(y2 + more), height)
        return left, top, max(right, left + 1), max(bottom, top + 1)

    def crop(self, picture: Any = None, margin: float = MARGIN) -> "Image":
        """Cut it out of the picture.

        Args:
            picture: what a model may be asked about: a path, a PIL picture, pixels; by default the scene's own file.
            margin: see `window`.

        Returns:
            A picture of PIL, which shows itself in notebooks and can be saved.

        Raises:
            PictureError: the picture cannot be read, or is not of the scene's size.
        """
        return image_of(self.scene, picture).crop(self.window(margin))


def instances(scene: "Scene") -> Iterator[Instance]:
    """Give the objects of a scene one by one."""
    return (Instance(scene, index) for index in range(len(scene)))


def count(scene: "Scene") -> dict[str, int]:
    """Return how many objects of every class there are, the most frequent first.

    Those that only show where a tag of the picture comes from are not counted.
    """
    names = scene.names() or ([] if scene.labels is None else [str(label) for label in scene.labels.tolist()])
    weak = [False] * len(names) if scene.weak is None else scene.weak.tolist()
    return dict(Counter(name for name, only_place in zip(names, weak, strict=True) if not only_place).most_common())


def choose(scene: "Scene", which: "int | str | slice | Tensor") -> "Instance | Scene":
    """Return one object by its place, or the scene with some of its objects; see `Scene.__getitem__`."""
    if isinstance(which, int):
        if not -len(scene) <= which < len(scene):
            raise IndexError(f"object {which} of a scene with {len(scene)}")
        return Instance(scene, which % len(scene))
    if isinstance(which, str):
        if scene.object_classes is not None:
            scene.object_classes.index(which)  # says which names there are
        return scene.keep(torch.tensor([name == which for name in scene.names()], dtype=torch.bool))
    if isinstance(which, slice):
        return scene.keep(torch.arange(len(scene))[which])
    which = torch.as_tensor(which)
    if which.dtype == torch.bool and which.shape != (len(scene),):
        raise AnnotationError(f"a mask of shape {tuple(which.shape)} does not choose among {len(scene)} objects")
    return scene.keep(which)
