"""Label maps: pictures whose pixels are classes, as ids or as colours, decoded when they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from allsight.data.pictures.outlines import draw_outlines
from allsight.data.pictures.reading import opened
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

UNNAMED = frozenset(("unlabeled", "unlabelled", "void", "ignore", "ignored"))  # classes that mean: not annotated
MOST_CLASSES = IGNORE  # labels 0 to 254
MOST_ID = 2**16 - 1  # of a class in a file; a table as long as the greatest id is made of them
_UNKNOWN = -1
_ID_MODES = ("L", "1", "I", "I;16", "I;16B", "I;16L")

Colour = tuple[int, int, int]


class DenseMap(Protocol):
    """What is drawn over a whole picture, decoded when asked for."""

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return the fields of a Scene of (height, width) that it gives.

        Raises:
            AnnotationError: it cannot be read, does not fit the picture or says what nobody knows.
        """


@dataclass(frozen=True, eq=False)
class Codes:
    """How label maps write classes; made once by a reader, the same for all maps of a data set.

    Args:
        classes: names of the labels with the ids that files use.
        ignored: ids of pixels that are not annotated; 255 always is one, unless it is a class's.
        colours: of classes by their id, where maps are pictures in colours; also tells indices of palettes apart that
            are in another order.
    """

    classes: Vocabulary
    ignored: tuple[int, ...] = ()
    colours: Mapping[int, Colour] = field(default_factory=dict)

    def by_id(self) -> np.ndarray:
        """Return the label of every id, 255 for ignored ones, -1 for those that nobody knows, which the last one is."""
        known = {number: IGNORE for number in (IGNORE, *self.ignored)}
        known |= {number: label for label, number in enumerate(self.classes.ids)}
        table = np.full(max(known) + 2, _UNKNOWN, dtype=np.int16)
        table[list(known)] = list(known.values())
        return table

    def by_colour(self) -> dict[Colour, int]:
        """Return the label of every colour."""
        table = self.by_id()
        return {colour: int(table[number]) for number, colour in self.colours.items()}


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A picture of ids or colours.

    Args:
        path: where it lies. codes: how it writes classes.
    """

    path: Path
    codes: Codes

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return `regions`; see `DenseMap`."""
        with opened(self.path) as image:
            image.load()
            if (image.height, image.width) != tuple(size):
                raise AnnotationError(wrong_size(self.path, (image.height, image.width), size))
            labels = self._labels(image)
        return {"regions": torch.from_numpy(labels.astype(np.int64))}

    def _labels(self, image: Image.Image) -> np.ndarray:
        """Return (H, W) labels of an image that lies in memory."""
        pixels = np.asarray(image)
        if image.mode == "P" and self.codes.colours:
            return self._looked_up(pixels, self._by_index(palette_of(image)))
        if image.mode == "P" or image.mode in _ID_MODES:
            return self._looked_up(pixels, self.codes.by_id())
        if not self.codes.colours:
            raise AnnotationError(f"{self.path}: is in colours, which nobody has named; give `colours` of the classes")
        coded = np.asarray(image.convert("RGB")).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        there, places = np.unique(coded, return_inverse=True)
        names = self.codes.by_colour()
        table = np.array([names.get((c >> 16, c >> 8 & 255, c & 255), _UNKNOWN) for c in there.tolist()], np.int16)
        if (table == _UNKNOWN).any():
            strange = [f"#{c:06x}" for c in there[table == _UNKNOWN].tolist()]
            raise AnnotationError(unknown(self.path, "colours", strange))
        return table[places.reshape(coded.shape)]

    def _by_index(self, palette: Sequence[Colour]) -> np.ndarray:
        """Return the label of every index of a palette, whatever its order."""
        names = self.codes.by_colour()
        return np.array([*(names.get(colour, _UNKNOWN) for colour in palette), _UNKNOWN], dtype=np.int16)

    def _looked_up(self, ids: np.ndarray, table: np.ndarray) -> np.ndarray:
        labels = table[ids.astype(np.int32).clip(-1, len(table) - 1)]  # the last entry is unknown
        if (labels == _UNKNOWN).any():
            strange = np.unique(ids[labels == _UNKNOWN]).tolist()
            raise AnnotationError(unknown(self.path, "ids", list(map(str, strange))))
        return labels


@dataclass(frozen=True, eq=False)
class RegionsOfObjects:
    """Masks of instances as regions; see `Dataset.with_regions`.

    Args:
        scene: instances with labels. outlines: of them; the scene's own masks if None.
    """

    scene: Scene
    outlines: Sequence[Any] | None = None

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return `regions`; see `DenseMap`."""
        masks = self.scene.masks if self.outlines is None else draw_outlines(self.outlines, size)
        assert masks is not None and self.scene.labels is not None
        regions = torch.zeros(size, dtype=torch.int64)
        labels = self.scene.labels + 1
        if self.scene.crowd is not None:
            labels = labels.where(~self.scene.crowd, IGNORE)
        order = masks.area().argsort(descending=True, stable=True)
        for one, label in zip(order.tolist(), labels[order].tolist(), strict=True):
            left, top, right, bottom = masks.windows[one].tolist()
            window = regions[top:bottom, left:right]
            window[masks[torch.tensor([one])].bits.reshape(window.shape)] = label
        return {"regions": regions}


def palette_of(image: Image.Image) -> list[Colour]:
    """Return the colours of a palette picture, by index."""
    flat = image.getpalette("RGB") or []
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)]


def unknown(path: Path, what: str, strange: Sequence[str], most: int = 8) -> str:
    """Return the message on ids or colours that are no class's."""
    told = ", ".join(strange[:most]) + (f" and {len(strange) - most} more" if len(strange) > most else "")
    return f"{path}: has {what} that no class has ({told}); name them in the list of classes or mend the map"


def wrong_size(path: Path, found: tuple[int, int], size: tuple[int, int]) -> str:
    """Return the message on a map that is not as large as its picture; both are (height, width)."""
    return f"{path}: is {found[1]}x{found[0]} but its picture {size[1]}x{size[0]}; make it as large as the picture"
