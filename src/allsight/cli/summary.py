"""What `allsight see` tells a person in the end."""

from collections import Counter
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from allsight.cli.terminal import show, table

if TYPE_CHECKING:
    from allsight.scene import Scene

FEW = 20  # pictures that get a line of their own
SURE = 0.1  # probability from which a tag is worth a word
MOST = 12  # classes in a table
LEAST_SHARE, MOST_SHARES = 0.01, 6  # of the picture's pixels, in the line about it
OUTSIDE = "outside what the model knows: "


class Summary:
    """Counts of what was seen, and a line a picture as long as there are few."""

    def __init__(self) -> None:
        self.pictures = 0
        self.lines: list[tuple[Path, str]] = []
        self.objects: Counter[str] = Counter()
        self.pictures_with: Counter[str] = Counter()
        self.tagged: Counter[str] = Counter()
        self.regions: dict[str, float] = {}  # sums of shares
        self.unknown = 0

    def add(self, path: Path, scene: "Scene") -> None:
        """Count one picture."""
        self.pictures += 1
        unknown = scene.trust is not None and not scene.trust.picture
        self.unknown += unknown
        names, tags = Counter(object_names(scene)), dict(best_tags(scene))
        self.objects.update(names)
        self.pictures_with.update(names.keys())
        self.tagged.update(tags.keys())
        regions = region_shares(scene)
        self.regions |= {name: self.regions.get(name, 0.0) + share for name, share in regions.items()}
        if len(self.lines) <= FEW:
            self.lines.append((path, (OUTSIDE if unknown else "") + sentence(names, tags, regions)))

    def show(self) -> None:
        """Print it."""
        if self.pictures <= FEW:
            names = [path.name for path, _ in self.lines]
            if len(set(names)) < len(names):  # of several folders: say which
                names = [str(path) for path, _ in self.lines]
            width = max(map(len, names))
            show(*(f"{name:<{width}}  {words}" for name, (_, words) in zip(names, self.lines, strict=True)))
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
        if self.regions:
            made = table(("region", ">mean share"))
            for name, share in sorted(self.regions.items(), key=lambda item: -item[1])[:MOST]:
                made.add_row(name, f"{share / self.pictures:.1%}")
            show(made, *_rest(self.regions, "regions"))
        if not self.objects and not self.tagged and not self.regions:
            show("nothing that the model is sure of, in any picture")
        if self.unknown:
            show(f"{self.unknown:,} pictures outside what the model knows")


def _rest(counts: Sized, what: str) -> list[str]:
    return [f"and {len(counts) - MOST} more {what}"] if len(counts) > MOST else []


def sentence(objects: Counter[str], tags: dict[str, float], regions: dict[str, float] | None = None) -> str:
    """Return `3 RBC, 1 WBC; espresso 83%`, or for regions `road 34%, sky 20%`, those that cover most."""
    parts = [", ".join(f"{count} {name}" for name, count in objects.most_common())]
    parts.append(", ".join(f"{name} {score:.0%}" for name, score in tags.items()))
    largest = [(name, share) for name, share in (regions or {}).items() if share >= LEAST_SHARE][:MOST_SHARES]
    parts.append(", ".join(f"{name} {share:.0%}" for name, share in largest))
    return "; ".join(filter(None, parts)) or "nothing that the model is sure of"


def object_names(scene: "Scene") -> list[str]:
    """Return the classes of the objects; those that only show where a tag comes from are told with the tags.

    What the model does not vouch for ends in a question mark.
    """
    names = scene.names()
    if scene.trust is not None:
        names = [f"{name}{'' if known else '?'}" for name, known in zip(names, scene.trust.known.tolist(), strict=True)]
    if scene.weak is None:
        return names
    return [name for name, weak in zip(names, scene.weak.tolist(), strict=True) if not weak]


def region_shares(scene: "Scene") -> dict[str, float]:
    """Return which share of the picture each region covers, the largest first."""
    if scene.regions is None or scene.region_classes is None:
        return {}
    counts = scene.regions.flatten().bincount(minlength=len(scene.region_classes))[: len(scene.region_classes)]
    shares = zip(scene.region_classes, (counts / scene.regions.numel()).tolist(), strict=True)
    return dict(sorted(((name, share) for name, share in shares if share), key=lambda item: -item[1]))


def best_tags(scene: "Scene") -> Iterator[tuple[str, float]]:
    """Yield the two best tags that are likely enough; the best one in any case if there are no objects to tell of."""
    if scene.tags is None or scene.tag_classes is None:
        return
    scores, labels = scene.tags.topk(min(2, len(scene.tags)))
    for place, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        if score >= SURE or (place == 0 and scene.boxes is None):
            yield scene.tag_classes[label], score
