"""The names of classes, and how a file numbers them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from allsight.errors import AnnotationError

IGNORE = 255  # the label of a pixel whose class is not annotated: no loss, no score


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of class names; label i means `names[i]`.

    Files number classes in their own way (COCO's sparse 1..90, YOLO's 0..79). `ids[i]` is the number that a file
    uses for label i; readers map it away once (`from_id`) and writers map it back (`to_id`).

    Args:
        names: distinct names, in the order of the labels.
        ids: distinct numbers of the classes in the file; 0, 1, 2, ... if not given.

    Raises:
        AnnotationError: names or ids occur twice, or are not equally many.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "ids", tuple(self.ids) or tuple(range(len(self.names))))
        if len(self.ids) != len(self.names):
            raise AnnotationError(
                f"a vocabulary of {len(self.names)} names has {len(self.ids)} ids; give one id a name"
            )
        for what, values in (("name", self.names), ("id", self.ids)):
            if len(set(values)) != len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise AnnotationError(f"the {what} {twice!r} stands twice in the vocabulary; make it unique")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, label: int) -> str:
        return self.names[label]

    def __contains__(self, name: object) -> bool:
        return name in self._labels

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.names)}

    @cached_property
    def _labels_by_id(self) -> dict[int, int]:
        return {number: label for label, number in enumerate(self.ids)}

    def index(self, name: str) -> int:
        """Return the label of `name`; raises AnnotationError if there is no such class."""
        try:
            return self._labels[name]
        except KeyError:
            raise AnnotationError(f"no class is called {name!r}; there are {self.summary()}") from None

    def from_id(self, number: int) -> int:
        """Return the label of the class that a file calls `number`; raises AnnotationError if there is none."""
        try:
            return self._labels_by_id[number]
        except KeyError:
            raise AnnotationError(
                f"the class id {number} is not in the vocabulary; there are {self.summary()}"
            ) from None

    def to_id(self, label: int) -> int:
        """Return the number by which the file knows `label`."""
        return self.ids[label]

    def summary(self, most: int = 6) -> str:
        """Return the first names and how many more there are, for messages."""
        rest = len(self.names) - most
        return ", ".join(self.names[:most]) + (f" and {rest} more" if rest > 0 else "")

    @classmethod
    def union(cls, vocabularies: Sequence["Vocabulary"]) -> "Vocabulary":
        """Return all names of `vocabularies` in order of first appearance, numbered anew."""
        return _union(tuple(vocabularies))


@lru_cache(maxsize=64)  # the same few are united for every picture that is seen
def _union(vocabularies: tuple[Vocabulary, ...]) -> Vocabulary:
    return Vocabulary(tuple(dict.fromkeys(name for vocabulary in vocabularies for name in vocabulary)))
