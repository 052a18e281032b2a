"""What two scenes of one picture say together."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.fields import INSTANCE_FIELDS, ROWS
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


def merge(first: "Scene", second: "Scene") -> "Scene":
    """Join two scenes of one picture; see `Scene.merge`."""
    others = [name for name in vars(second) if name not in INSTANCE_FIELDS and name != "object_classes"]
    changes: dict[str, Any] = {name: getattr(second, name) for name in others if getattr(second, name) is not None}
    if first.boxes is None or second.boxes is None:
        source = second if first.boxes is None else first
        changes |= {name: getattr(source, name) for name in (*INSTANCE_FIELDS, "object_classes")}
        return replace(first, **changes)
    changes |= {name: _both(name, first, second) for name in INSTANCE_FIELDS}
    classes = Vocabulary.union([v for v in (first.object_classes, second.object_classes) if v is not None])
    if changes["labels"] is not None and len(classes):
        changes["labels"] = torch.cat([_relabel(first, classes), _relabel(second, classes)])
        changes["object_classes"] = classes
    return replace(first, **changes)


def _both(name: str, first: "Scene", second: "Scene") -> Any:
    """Return a field of the instances of both; None if one does not have it and nothing can stand in for it."""
    values = [getattr(scene, name) for scene in (first, second)]
    if all(value is None for value in values):
        return None
    blank = ROWS[name].blank
    if blank is not None:
        values = [blank(scene) if v is None else v for scene, v in zip((first, second), values, strict=True)]
    if any(value is None for value in values):
        return None
    if not isinstance(values[0], Tensor):
        return type(values[0]).cat(values)
    one, two = (value.shape[1:] for value in values)
    if one != two:
        raise AnnotationError(
            f"{first.source or 'a scene'}: {name} of shape {tuple(one)} and {tuple(two)} an instance cannot be joined"
        )
    return torch.cat(values)


def _relabel(scene: "Scene", classes: Vocabulary) -> Tensor:
    """Return the labels of a scene by a larger vocabulary."""
    assert scene.labels is not None
    if scene.object_classes is None:
        return scene.labels
    return torch.tensor([classes.index(name) for name in scene.names()], dtype=torch.int64)
