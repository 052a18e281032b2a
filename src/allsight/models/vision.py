"""`Vision`: one trunk, a neck, many heads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.data.pictures.loading import Batch
from allsight.layers.neck import Neck
from allsight.models.system import Answering
from allsight.scene import Frame, Scene

Features = Mapping[str, Tensor]


class Head(nn.Module, ABC):
    """The three verbs on features.

    Attributes:
        inputs: names of the features that it reads, from the neck where the neck gives them, else from the trunk.
    """

    inputs: tuple[str, ...]

    @abstractmethod
    def forward(self, features: Features, frames: Sequence[Frame]) -> Any:
        """Return raw tensors in a NamedTuple."""

    @abstractmethod
    def criterion(self, outputs: Any, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Compare outputs with the truth (in the model's pixels); return named scalar terms."""

    @abstractmethod
    def decode(self, outputs: Any, frames: Sequence[Frame]) -> list[Scene]:
        """Return what the outputs say, in the pixels of the original pictures."""

    def loss(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return named scalar terms; a head whose forward depends on the truth in training overrides this."""
        return self.criterion(self(features, frames), frames, scenes)

    def narrow(self, least: Callable[[str], float]) -> None:
        """Compute less from now on: no more than it takes to show the objects that are wanted; it learns no more.

        A head that can leave out nothing stays as it is. To be called once.

        Args:
            least: from the name of a class to the score from which its objects are wanted; above 1 for none of them.
        """


class VisionOutputs(NamedTuple):
    """What `Vision.forward` computed: the features by name and the outputs of every head by name."""

    features: dict[str, Tensor]
    heads: dict[str, Any]


class Vision(Answering[Frame, Scene]):
    """A picture system: the trunk runs once, its features go to every head, their losses add up, their Scenes merge.

    Args:
        trunk: pictures to feature maps.
        neck: feature maps to feature maps, for instance a feature pyramid.
        heads: by name; later heads win where two say the same field (instances are joined).
    """

    def __init__(self, *, trunk: Trunk, heads: Mapping[str, Head], neck: Neck | None = None) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck
        self.heads = nn.ModuleDict(heads)
        made = neck.outputs if neck is not None else ()
        wanted = [*(neck.inputs if neck is not None else ())]
        wanted += [name for head in heads.values() for name in head.inputs if name not in made]
        self.wanted: tuple[str, ...] = tuple(dict.fromkeys(wanted))

    def features(self, pictures: Tensor, also: Sequence[str] = ()) -> dict[str, Tensor]:
        """Return all named features that some head reads, for pictures (B, 3, H, W), and the trunk's `also`."""
        return self.with_neck(self.trunk(pictures, tuple(dict.fromkeys([*self.wanted, *also]))))

    def with_neck(self, features: Features) -> dict[str, Tensor]:
        """Return the trunk's features and what the neck makes of them."""
        return {**features, **(self.neck(features) if self.neck is not None else {})}

    def forward(self, pictures: Tensor, also: Sequence[str] = ()) -> VisionOutputs:
        """See everything.

        Args:
            pictures: (B, 3, H, W) uint8 of the model's own size, or floats that the trunk has normalised.
            also: further features of the trunk to return, for explanations.
        """
        frames = [Frame.whole((pictures.shape[-2], pictures.shape[-1]))] * len(pictures)
        return self.outputs_of(self.features(pictures, also), frames)

    def outputs_of(self, features: dict[str, Tensor], frames: Sequence[Frame]) -> VisionOutputs:
        """Return what all heads make of the features of trunk and neck."""
        return VisionOutputs(features, {name: head(features, frames) for name, head in self._heads()})

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of all heads, named "head/term" where there are several heads."""
        return self.loss_of(self.features(batch.pictures), batch.frames, batch.scenes)

    def loss_of(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of `loss` from the features of trunk and neck."""
        terms = {}
        for name, head in self._heads():
            prefix = f"{name}/" if len(self.heads) > 1 else ""
            for term, value in head.loss(features, frames, scenes).items():
                terms[prefix + term] = value
        return terms

    def decode(self, outputs: VisionOutputs, places: Sequence[Frame]) -> list[Scene]:
        """Return one Scene a picture, what all heads say together, in original pixels."""
        answers = [head.decode(outputs.heads[name], places) for name, head in self._heads()]
        return [reduce(Scene.merge, scenes) for scenes in zip(*answers, strict=True)]

    def lean(self, outputs: VisionOutputs, features: Sequence[str] = ()) -> VisionOutputs:
        """Return the outputs of all heads, and of the features those that are named."""
        return outputs._replace(features={name: outputs.features[name] for name in features})

    def narrow(self, least: Callable[[str], float]) -> None:
        """Compute no more than it takes to show the objects that are wanted; see `Head.narrow`."""
        for _, head in self._heads():
            head.narrow(least)

    def _heads(self) -> list[tuple[str, Head]]:
        return [(name, cast(Head, head)) for name, head in self.heads.items()]
