"""`Knowledge`: what a model knows of its own limits, in one small file beside its weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from allsight.errors import WeightsError, reason
from allsight.files import atomic
from allsight.knowing.familiarity import Familiarity, object_vectors, picture_vector
from allsight.metrics.calibration import Platt, Temperature
from allsight.models.vision import Vision
from allsight.scene import Frame, Scene, Trust

EVEN = 0.5  # what is less probable is more probably wrong than right, and not vouched for
_HEADER = "knowledge"


class Vectors(NamedTuple):
    """What is measured of a picture: a vector (D,) of the whole, and (N, E) of its objects, where they are boxed."""

    picture: Tensor | None
    objects: Tensor | None


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Scores that are probabilities, and how far a picture and its objects may be from what was learned.

    Args:
        pictures, objects: distances of whole pictures and of objects.
        scores: calibrates the scores of objects.
        tags: calibrates the probabilities of tags, a temperature where they sum to 1.
        data: what all this was fitted on.
    """

    pictures: Familiarity | None = None
    objects: Familiarity | None = None
    scores: Platt | None = None
    tags: Temperature | Platt | None = None
    data: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the trunk's features that are measured."""
        return tuple(dict.fromkeys(part.feature for part in (self.pictures, self.objects) if part is not None))

    def vectors(self, scene: Scene, features: Mapping[str, Tensor], frame: Frame) -> Vectors:
        """Return what is measured of a picture.

        Args:
            scene: what was seen in it, in original pixels. features: by name, of this picture alone. frame: of it.
        """
        picture = self.pictures.feature if self.pictures is not None else None
        objects = self.objects.feature if self.objects is not None else None
        return measure(scene, features, frame, picture, objects)

    def judge(self, scene: Scene, vectors: Vectors) -> Scene:
        """Return the scene with scores that are probabilities, and with what the model vouches for.

        An object is vouched for if its distance is inside and it is more probably right than wrong. The picture is
        known if its distance is inside; where it has one tag of several, that must be more probably right than wrong.
        """
        scene = self.calibrated(scene)
        distance = None
        if self.pictures is not None and vectors.picture is not None:
            distance = self.pictures.distance(vectors.picture[None]).item()
        known = distance is None or distance <= 1
        if isinstance(self.tags, Temperature) and scene.tags is not None and scene.boxes is None:
            known = known and scene.tags.max().item() >= EVEN
        inside, distances = torch.ones(len(scene), dtype=torch.bool), None
        if self.objects is not None and vectors.objects is not None:
            distances = self.objects.distance(vectors.objects)
            inside = distances <= 1
        if self.scores is not None and scene.scores is not None:
            inside = inside & (scene.scores >= EVEN)
        return scene.with_(trust=Trust(known, distance, inside, distances))

    def calibrated(self, scene: Scene) -> Scene:
        """Return the scene with scores and tags that are probabilities; weak boxes keep the score of their tag."""
        changes: dict[str, Any] = {}
        if self.scores is not None and scene.scores is not None:
            scores = self.scores(scene.scores)
            changes["scores"] = scores if scene.weak is None else torch.where(scene.weak, scene.scores, scores)
        if self.tags is not None and scene.tags is not None:
            changes["tags"] = self.tags(scene.tags)
        return scene.with_(**changes)

    def threshold(self, score: float) -> float:
        """Return where a display threshold for objects lies once scores are calibrated; above 1 stays above 1."""
        if self.scores is None or not 0 <= score <= 1:
            return score
        return self.scores(torch.tensor(score, dtype=torch.float64)).item()

    def write(self, path: Path) -> None:
        """Write it as one safetensors file, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {"data": self.data}
        for name in ("pictures", "objects"):
            if (part := getattr(self, name)) is not None:
                tensors |= {f"{name}.mean": part.mean, f"{name}.axes": part.axes.half().contiguous()}
                tensors[f"{name}.spread"] = part.spread
                numbers[name] = {"feature": part.feature, "rest": part.rest, "limit": part.limit}
        for name in ("scores", "tags"):
            if (fit := getattr(self, name)) is not None:
                numbers[name] = {"kind": type(fit).__name__.lower(), **vars(fit)}
        with atomic(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, {_HEADER: json.dumps(numbers)}))

    @classmethod
    def read(cls, path: Path, system: object) -> "Knowledge":
        """Read what `write` wrote, for a built system.

        Raises:
            WeightsError: the file is damaged, or another model's.
        """
        again = "delete it; `allsight calibrate` writes it anew"
        try:
            with safetensors.safe_open(path, "pt") as file:
                numbers = json.loads((file.metadata() or {})[_HEADER])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118, not a dict
            found = cls(
                _familiarity("pictures", numbers, tensors),
                _familiarity("objects", numbers, tensors),
                _fit(numbers.get("scores")),
                _fit(numbers.get("tags")),
                str(numbers["data"]),
            )
        except (
            safetensors.SafetensorError,
            OSError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            RuntimeError,
            OverflowError,
        ) as error:
            raise WeightsError(f"{path}: is damaged ({reason(error)}); {again}") from error
        channels = system.trunk.channels if isinstance(system, Vision) else {}
        for part in (found.pictures, found.objects):
            if part is not None and channels.get(part.feature) != len(part.mean):
                raise WeightsError(
                    f"{path}: knows {len(part.mean)} channels of {part.feature}, of which the model has "
                    f"{channels.get(part.feature, 'none')}; it is another model's: {again}"
                )
        return found


def measure(
    scene: Scene, features: Mapping[str, Tensor], frame: Frame, picture: str | None, objects: str | None
) -> Vectors:
    """Return what is measured of a picture on two features; see `Knowledge.vectors`."""
    whole = picture_vector(features[picture], frame) if picture else None
    if not objects or scene.boxes is None:
        return Vectors(whole, None)
    return Vectors(whole, object_vectors(features[objects], scene.boxes, frame))


def _familiarity(name: str, numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Familiarity | None:
    if name not in numbers:
        return None
    said = numbers[name]
    mean, axes, spread = (tensors[f"{name}.{part}"] for part in ("mean", "axes", "spread"))
    return Familiarity(str(said["feature"]), mean, axes, spread, float(said["rest"]), float(said["limit"]))


def _fit(said: Mapping[str, Any] | None) -> Any:
    if said is None:
        return None
    kind = {"platt": Platt, "temperature": Temperature}[said["kind"]]
    values = {name: float(value) for name, value in said.items() if name != "kind"}
    if not all(map(math.isfinite, values.values())) or min(values.get("scale", 1), values.get("value", 1)) <= 0:
        raise ValueError(f"{values} do not calibrate anything")
    return kind(**values)
