"""What `allsight see` tells a person in the end."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from allsight.cli.terminal import show, table

if TYPE_CHECKING:
    from allsight.scene import Scene

FEW = 20  # pictures that get a line of their own
SURE = 0.1  # probability from which a tag is worth a word
MOST = 12  # classes in a table


class Summary:
    """Counts of what was seen, and a line a picture as long as there are few."""

    def __init__(self) -> None:
        self.pictures = 0
        self.lines: list[tuple[str, str]] = []
        self.objects: Counter[str] = Counter()
        self.pictures_with: Counter[str] = Counter()
        self.tagged: Counter[str] = Counter()

    def add(self, path: Path, scene: "Scene") -> None:
        """Count one picture."""
        self.pictures += 1
        names, tags = Counter(object_names(scene)), dict(best_tags(scene))
        self.objects.update(names)
        self.pictures_with.update(names.keys())
        self.tagged.update(tags.keys())
        if len(self.lines) <= FEW:
            self.lines.append((path.name, sentence(names, tags)))

    def show(self) -> None:
        """Print it."""
        if self.pictures <= FEW:
            width = max(len(name) for name, _ in self.lines)
            show(*(f"{name:<{width}}  {words}" for name, words in self.lines))
            return
        if self.objects:
            made = table(("class", ">objects", ">pictures"))
            for name, count in self.objects.most_common(MOST):
                made.add_row(name, f"{count:,}", f"{self.pictures_with[name]:,}")
            show(made, *_rest(self.objects, "classes"))
        if self.tagged:
            made = table(("tag", ">pictures"))
            for name, count in self.tagged.most_common(MOST):
                made.add_row(name, f"{count:,}")
            show(made, *_rest(self.tagged, "tags"))
        if not self.objects and not self.tagged:
            show("nothing that the model is sure of, in any picture")


def _rest(counts: Counter[str], what: str) -> list[str]:
    return [f"and {len(counts) - MOST} more {what}"] if len(counts) > MOST else []


def sentence(objects: Counter[str], tags: dict[str, float]) -> str:
    """Return `3 RBC, 1 WBC; espresso 83%`."""
    parts = [", ".join(f"{count} {name}" for name, count in objects.most_common())]
    parts.append(", ".join(f"{name} {score:.0%}" for name, score in tags.items()))
    return "; ".join(filter(None, parts)) or "nothing that the model is sure of"


def object_names(scene: "Scene") -> list[str]:
    """Return the classes of the objects; those that only show where a tag comes from are told with the tags."""
    if scene.weak is None:
        return scene.names()
    return [name for name, weak in zip(scene.names(), scene.weak.tolist(), strict=True) if not weak]


def best_tags(scene: "Scene") -> Iterator[tuple[str, float]]:
    """Yield the two best tags that are likely enough; the best one in any case if there are no objects to tell of."""
    if scene.tags is None or scene.tag_classes is None:
        return
    scores, labels = scene.tags.topk(min(2, len(scene.tags)))
    for place, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        if score >= SURE or (place == 0 and scene.boxes is None):
            yield scene.tag_classes[label], score
