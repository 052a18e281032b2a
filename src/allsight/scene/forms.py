"""Forms of a field in JSON: numbers and flags of each object, vectors, maps, texts. docs/json.md describes them.

What refers to classes by their names stands in `allsight.scene.named_forms`.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.masks import Masks
from allsight.scene.trust import Trust
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


@dataclass(frozen=True)
class Reading:
    """The JSON of one picture while it is read.

    Args:
        value: the dictionary. size: (height, width) of the picture.
        classes: vocabularies by the name of their field.
    """

    value: dict[str, Any]
    size: tuple[int, int]
    classes: dict[str, Vocabulary]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """What is said of each object."""
        return self.value.get("objects", [])

    def has(self, key: str) -> bool:
        """Whether objects have a key; what the first one has, all have to have."""
        return bool(self.objects) and key in self.objects[0]

    def mask(self, code: dict[str, Any]) -> Tensor:
        """Return (H, W) bool of a run-length code."""
        return Masks.from_rle([code], self.size).dense()[0]


class Form:
    """How one field lies in JSON: under which keys of the picture and of its objects, and how it is read back.

    Attributes:
        classes: the field of the vocabulary that gives the names, if there are any.
        extends: whether it may use names that a given vocabulary does not have.
    """

    classes: str | None = None
    extends = False

    def entries(self, scene: "Scene", value: Any) -> dict[str, Any]:
        """Return what is said of the picture, by key."""
        return {}

    def columns(self, scene: "Scene", value: Any) -> dict[str, Sequence[Any]]:
        """Return what is said of each of the N objects, by key; None: nothing is said of this one."""
        return {}

    def names(self, value: dict[str, Any]) -> list[str] | None:
        """Return the names of classes that the JSON of a picture uses; None if it says nothing of the field."""
        return None

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Any:
        """Return the field, or None if nothing is said of it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Column(Form):
    """Numbers or flags of each object.

    Args:
        key: of an object. digits: after the point; None for what is no fraction.
        empty: the shape where there are no objects; None if nothing is said of it then.
    """

    key: str
    digits: int | None = None
    empty: tuple[int, ...] | None = None

    def columns(self, scene: "Scene", value: Tensor) -> dict[str, Sequence[Any]]:
        """Return the numbers, rounded."""
        numbers = value.tolist()
        return {self.key: numbers if self.digits is None else rounded(numbers, self.digits)}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the numbers of all objects."""
        if self.empty is not None and "objects" in reading.value:
            return torch.tensor([item[self.key] for item in reading.objects], dtype=dtype).reshape(-1, *self.empty[1:])
        if not reading.has(self.key):
            return None
        return torch.tensor([item[self.key] for item in reading.objects], dtype=dtype)


class Located(Form):
    """Whether a box was located without box labels."""

    def columns(self, scene: "Scene", value: Tensor) -> dict[str, Sequence[Any]]:
        """Return where each box is from."""
        return {"located": ["activation" if weak else "box" for weak in value.tolist()]}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return which boxes are weak."""
        if not reading.has("located"):
            return None
        return torch.tensor([item["located"] == "activation" for item in reading.objects])


class Outlines(Form):
    """The mask of each object as a run-length code; an object whose mask is blank has none."""

    def columns(self, scene: "Scene", value: Masks) -> dict[str, Sequence[Any]]:
        """Return the codes."""
        codes = zip(value.to_rle(), value.area().tolist(), strict=True)
        return {"mask": [code if pixels else None for code, pixels in codes]}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Masks | None:
        """Return the masks; if one object has one, the others are blank."""
        if not any("mask" in item for item in reading.objects):
            return None
        size = reading.size
        known = (Masks.from_rle([i["mask"]], size) if "mask" in i else Masks.blank(1, size) for i in reading.objects)
        return Masks.cat(list(known))


class Vouching(Form):
    """What a model that abstains says of the picture and of its objects."""

    def entries(self, scene: "Scene", value: Trust) -> dict[str, Any]:
        """Return what it says of the picture."""
        far = {} if value.distance is None else {"distance": finite(value.distance, 3)}
        return {"known": value.picture, **far}

    def columns(self, scene: "Scene", value: Trust) -> dict[str, Sequence[Any]]:
        """Return what it says of each object."""
        far = {} if value.distances is None else {"distance": rounded(value.distances.tolist(), 3)}
        return {"known": value.known.tolist(), **far}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Trust | None:
        """Return it; in a picture that the model does not know, all objects are as little known."""
        if "known" not in reading.value:
            return None
        objects = reading.objects
        known = torch.tensor([bool(item["known"]) for item in objects], dtype=torch.bool)
        far = None
        if objects and all("distance" in item for item in objects):
            far = torch.tensor([float(item["distance"]) for item in objects])
        return Trust(bool(reading.value["known"]), reading.value.get("distance"), known, far)


@dataclass(frozen=True)
class Vector(Form):
    """Numbers of the whole picture.

    Args:
        key: of the picture. digits: after the point.
    """

    key: str
    digits: int

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return the numbers, rounded."""
        return {self.key: rounded(value.tolist(), self.digits)}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the numbers."""
        return torch.tensor(reading.value[self.key], dtype=dtype) if self.key in reading.value else None


@dataclass(frozen=True)
class Texts(Form):
    """Sentences about the picture, under a key."""

    key: str

    def entries(self, scene: "Scene", value: tuple[str, ...]) -> dict[str, Any]:
        """Return the sentences."""
        return {self.key: list(value)}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> tuple[str, ...] | None:
        """Return the sentences."""
        return tuple(reading.value[self.key]) if self.key in reading.value else None


_NUMPY = {"float16": "<f2", "float32": "<f4"}


@dataclass(frozen=True)
class Array(Form):
    """A map of fractions under a key, its bytes in base64; nothing is lost, and half the bytes do where they can."""

    key: str

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return type, shape and bytes."""
        exact = value.float()
        half = torch.equal(exact.half().float(), exact)
        kind = "float16" if half else "float32"
        data = base64.b64encode(exact.numpy().astype(_NUMPY[kind]).tobytes()).decode("ascii")
        return {self.key: {"type": kind, "shape": list(value.shape), "data": data}}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the map."""
        if self.key not in reading.value:
            return None
        entry = reading.value[self.key]
        values = np.frombuffer(base64.b64decode(entry["data"], validate=True), dtype=_NUMPY[entry["type"]])
        return torch.from_numpy(values.astype(np.float32).reshape([int(side) for side in entry["shape"]])).to(dtype)


@dataclass(frozen=True)
class Runs(Form):
    """A map of flags under a key, as a run-length code."""

    key: str

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return the code."""
        return {self.key: Masks.from_dense(value[None]).to_rle()[0]}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the map."""
        return reading.mask(reading.value[self.key]) if self.key in reading.value else None


def rounded(values: list[Any], digits: int) -> list[Any]:
    """Round nested lists of numbers for reading; refuse what JSON cannot carry."""
    if values and isinstance(values[0], list):
        return [rounded(each, digits) for each in values]
    if not all(map(math.isfinite, values)):
        return [finite(each, digits) for each in values]  # which says what it is
    return [round(each, digits) for each in values]


def finite(value: float, digits: int) -> float:
    """Round for reading; refuse what JSON cannot carry."""
    if not math.isfinite(value):
        raise AnnotationError(f"{value} cannot be written to JSON; check the scene's numbers")
    return round(value, digits)
