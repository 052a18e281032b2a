"""What of a data set has no place in another form, counted."""

from collections import Counter
from dataclasses import dataclass, field

from allsight.data.formats.yolo_write import has_rings
from allsight.data.pictures.dataset import Dataset, Example

_FIELDS = ("boxes", "crowd", "difficult", "masks", "keypoints", "tags", "regions", "captions")
_WORDS = {
    "boxes": "boxes",
    "crowd": "crowds",
    "difficult": "objects marked as difficult",
    "masks": "masks of objects",
    "keypoints": "objects with key points",
    "tags": "pictures with tags",
    "regions": "pictures with regions",
    "captions": "captions",
}


@dataclass
class Losses:
    """Counts over pictures.

    Args:
        fields: of every field of a Scene how many objects (or pictures, for those of whole pictures) have it.
        joined: objects of several rings. boxed: objects with masks in pictures that YOLO writes as boxes.
    """

    fields: Counter[str] = field(default_factory=Counter)
    joined: int = 0
    boxed: int = 0

    def __iadd__(self, other: "Losses") -> "Losses":
        self.fields += other.fields
        self.joined += other.joined
        self.boxed += other.boxed
        return self

    def lines(self, form: str, keeps: frozenset[str]) -> list[str]:
        """Return what a form has no place for and what it changes, a line each."""
        count = self.fields
        gone = {name: count[name] for name in _FIELDS if count[name] and name not in keeps}
        changed = []
        if form == "voc" and gone.pop("crowd", 0):
            changed.append(f"{count['crowd']:,} crowds are written as difficult, which evaluation leaves out alike")
        if form == "yolo":
            if gone.pop("crowd", 0):
                changed.append(f"{count['crowd']:,} crowds are left out: yolo has no place for them")
            if self.joined:
                changed.append(f"{self.joined:,} outlines of several rings are written as one ring each")
            if self.boxed:
                changed.append(f"{self.boxed:,} masks are written as boxes alone: they are no rings")
        told = ", ".join(f"{number:,} {_WORDS[name]}" for name, number in gone.items())
        return ([f"{form} has no place for {told}; left out"] if told else []) + changed


def losses_of(dataset: Dataset) -> Losses:
    """Count what is annotated."""
    total = Losses()
    for example in dataset:
        total += _of(example)
    return total


def _of(example: Example) -> Losses:
    scene = example.annotation
    outlines = example.outlines if example.outlines is not None else ()
    masked = len(outlines) if example.outlines is not None else (len(scene) if scene.masks is not None else 0)
    flags = {
        name: 0 if (value := getattr(scene, name)) is None else int(value.sum()) for name in ("crowd", "difficult")
    }
    ringed = example.outlines is not None and has_rings(example)
    counts = Counter(
        boxes=0 if scene.boxes is None else len(scene.boxes),
        crowd=flags["crowd"],
        difficult=flags["difficult"],
        masks=masked,
        keypoints=0 if scene.keypoints is None else int((scene.keypoints[..., 2] > 0).any(1).sum()),
        tags=int(scene.tags is not None),
        regions=int(example.label_map is not None or scene.regions is not None),
        captions=len(scene.captions or ()),
    )
    joined = sum(len(each) > 1 for each in outlines if isinstance(each, list)) if ringed else 0
    boxed = 0 if ringed else masked - min(flags["crowd"], masked)
    return Losses(counts, joined, boxed)
