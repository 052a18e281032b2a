"""What `allsight see` tells a person in the end."""

from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from allsight.cli.tally import Tally
from allsight.cli.terminal import show, table

if TYPE_CHECKING:
    from rich.table import Table

FEW = 20  # pictures that get a line of their own
MOST = 12  # classes in a table
MOST_COLUMNS = 8  # classes with a column of their own
LEAST_SHARE, MOST_SHARES = 0.01, 6  # of the picture's pixels, in the line about it
OUTSIDE = "outside what the model knows: "
NOTHING = "nothing that the model is sure of"


class Summary:
    """Counts of what was seen, and a line a picture as long as there are few.

    Args:
        classes: to be counted in a table a picture, in this order; empty for all that there are, None for no table.
    """

    def __init__(self, classes: Sequence[str] | None = None) -> None:
        self.classes = classes
        self.pictures = 0
        self.few: list[Tally] = []
        self.counts: list[tuple[str, Counter[str]]] = []
        self.objects: Counter[str] = Counter()
        self.pictures_with: Counter[str] = Counter()
        self.tagged: Counter[str] = Counter()
        self.regions: dict[str, float] = {}  # sums of shares
        self.unknown = 0

    def add(self, tally: Tally) -> None:
        """Count one picture."""
        self.pictures += 1
        self.unknown += not tally.known
        self.objects.update(tally.objects)
        self.pictures_with.update(tally.objects.keys())
        self.tagged.update(tally.tags.keys())
        for name, share in tally.regions.items():
            self.regions[name] = self.regions.get(name, 0.0) + share
        if len(self.few) <= FEW:
            self.few.append(tally)
        if self.classes is not None:
            self.counts.append((tally.path, tally.objects))

    def show(self) -> None:
        """Print it."""
        if self.classes is not None:
            show(self._count_table())
        elif self.pictures <= FEW:
            names = _short([tally.path for tally in self.few])
            width = max(map(len, names), default=0)
            show(*(f"{name:<{width}}  {sentence(tally)}" for name, tally in zip(names, self.few, strict=True)))
        else:
            self._show_classes()

    def _count_table(self) -> "Table":
        """Return how many objects of every class are in every picture, and in all."""
        there = [name for name, _ in self.objects.most_common()]
        names = list(dict.fromkeys([*(self.classes or ()), *there]))
        columns, others = names[:MOST_COLUMNS], names[MOST_COLUMNS:]

        def cells(counts: Counter[str]) -> list[str]:
            rest = [sum(counts[name] for name in others)] if others else []
            every = [counts.total()] if len(names) != 1 else []
            return [f"{number:,}" for number in (*(counts[name] for name in columns), *rest, *every)]

        more = [*([">others"] if others else []), *([">all"] if len(names) != 1 else [])]
        made = table(("picture", *(f">{name}" for name in columns), *more))
        for name, (_, counts) in zip(_short([path for path, _ in self.counts]), self.counts, strict=True):
            made.add_row(name, *cells(counts))
        made.add_section()
        made.add_row(f"{self.pictures:,} pictures", *cells(self.objects))
        return made

    def _show_classes(self) -> None:
        """Print how often every class was seen."""
        if self.objects:
            made = table(("class", ">objects", ">pictures"))
            for name, count in self.objects.most_common(MOST):
                made.add_row(name, f"{count:,}", f"{self.pictures_with[name]:,}")
            show(made, *_rest(self.objects, "classes"))
        if self.tagged:
            made = table(("the picture as a whole", ">pictures"))
            for name, count in self.tagged.most_common(MOST):
                made.add_row(name, f"{count:,}")
            show(made, *_rest(self.tagged, "names"))
        if self.regions:
            made = table(("surface", ">of the pixels"))
            for name, share in sorted(self.regions.items(), key=lambda item: -item[1])[:MOST]:
                made.add_row(name, f"{share / self.pictures:.1%}")
            show(made, *_rest(self.regions, "surfaces"))
        if not self.objects and not self.tagged and not self.regions:
            show(f"{NOTHING}, in any picture")
        if self.unknown:
            show(f"{self.unknown:,} pictures outside what the model knows")


def _rest(counts: Sized, what: str) -> list[str]:
    return [f"and {len(counts) - MOST} more {what}"] if len(counts) > MOST else []


def _short(paths: Sequence[str]) -> list[str]:
    """Return the names of pictures; their paths, if pictures of several folders have one name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def sentence(tally: Tally) -> str:
    """Return what is in one picture: `person 2 (40% of the pixels), bus 1; espresso (83% sure); sky 20% of the pixels`.

    What objects cover is told with them where pixels of that name are known, the rest of the pixels by itself.
    """
    large = {name: share for name, share in tally.regions.items() if share >= LEAST_SHARE}
    objects = [f"{name} {count}{_covered(name, large)}" for name, count in tally.objects.most_common()]
    rest = [(name, share) for name, share in large.items() if name not in tally.objects][:MOST_SHARES]
    pixels = ", ".join(f"{name} {share:.0%}" for name, share in rest)
    parts = [
        ", ".join(objects),
        ", ".join(f"{name} ({score:.0%} sure)" for name, score in tally.tags.items()),
        f"{pixels} of the pixels" if pixels else "",
    ]
    return ("" if tally.known else OUTSIDE) + ("; ".join(filter(None, parts)) or NOTHING)


def _covered(name: str, shares: Mapping[str, float]) -> str:
    return f" ({shares[name]:.0%} of the pixels)" if name in shares else ""
