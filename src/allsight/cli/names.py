"""Classes by name: `--class` and `--blur` of `allsight see`."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from allsight.errors import ModelError

# Torch is imported inside the functions: `allsight see --help` must not wait for it.
if TYPE_CHECKING:
    from allsight.hub import Model
    from allsight.predict import Predictor
    from allsight.scene import Scene

_NO_OBJECTS = ("tags", "regions")  # heads that name pictures and pixels
_MOST = 8  # names in a message


def checked(option: str, names: Sequence[str], predictor: "Predictor", *, objects_only: bool = False) -> frozenset[str]:
    """Return the names that an option gives.

    Args:
        option: how it is called. names: as they were typed. predictor: what is to know them and to show them.
        objects_only: whether they must be classes of objects.

    Raises:
        ModelError: the model has no such class, or by its own thresholds never shows it.
    """
    objects, others = _classes(predictor.model)
    known = list(dict.fromkeys(objects if objects_only else [*objects, *others]))
    for name in names:
        if name not in known:
            raise ModelError(f"{option} {name}: {predictor.model.name} knows no such class; {_hint(name, known)}")
        if name in objects and (objects_only or name not in others) and predictor.least(name) > 1:
            raise ModelError(
                f"{option} {name}: {predictor.model.name} is never sure enough of it to show it by itself;"
                " give --threshold as well, such as 0.3"
            )
    return frozenset(names)


def _classes(model: "Model") -> tuple[list[str], list[str]]:
    """Return the names of objects, and those of whole pictures and pixels."""
    from allsight.scene import Vocabulary

    objects: list[str] = []
    others: list[str] = []
    for path, module in model.system.named_modules():
        if isinstance(classes := getattr(module, "classes", None), Vocabulary):
            (others if any(part in _NO_OBJECTS for part in path.split(".")) else objects).extend(classes)
    return objects, others


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    folded = {each.casefold(): each for each in names}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3)]
    if near:
        return f"did you mean {' or '.join([', '.join(near[:-1]), near[-1]] if near[1:] else near)}?"
    if Path(name).exists():
        return "pictures stand before this option"
    rest = len(names) - _MOST
    return (
        f"there are {', '.join(names[:_MOST])}{f' and {rest:,} more' if rest > 0 else ''}" if names else "it has none"
    )


def only(scene: "Scene", names: frozenset[str]) -> "Scene":
    """Return what a scene says of some classes: of objects, pixels, segments and whole pictures alike."""
    import torch

    from allsight.scene.vocabulary import IGNORE

    changes: dict[str, object] = {}
    if scene.labels is not None:
        scene = scene.keep(torch.tensor([name in names for name in scene.names()], dtype=torch.bool))
    if scene.regions is not None and scene.region_classes is not None:
        wanted = torch.zeros(IGNORE + 1, dtype=torch.bool)
        wanted[[label for label, name in enumerate(scene.region_classes) if name in names]] = True
        changes["regions"] = scene.regions.where(wanted[scene.regions], IGNORE)
    if scene.tags is not None and scene.tag_classes is not None:
        changes["tags"] = scene.tags * torch.tensor([name in names for name in scene.tag_classes])
    if scene.panoptic is not None and scene.segments is not None:
        region_classes = scene.region_classes or ()
        kept = [s for s in scene.segments if {s.get("object"), _name(region_classes, s["label"])} & names]
        there = torch.isin(scene.panoptic, torch.tensor([segment["id"] for segment in kept], dtype=torch.int64))
        changes |= {"panoptic": scene.panoptic * there, "segments": tuple(kept)}
    return scene.with_(**changes)


def _name(classes: Iterable[str], label: int) -> str | None:
    return dict(enumerate(classes)).get(label)
