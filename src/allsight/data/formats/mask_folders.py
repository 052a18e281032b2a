"""Pictures and masks in two folders, without a file that says what the masks' values mean.

    root/images/NAME.jpg   root/masks/NAME.png      root/images/SPLIT/ and root/masks/SPLIT/, or root/SPLIT/images/ ...

A mask may be called NAME_mask, NAME-mask or NAME_seg. Masks of two values (0 and 255, 0 and 1, black and white) are
read as "background" and "object"; with `classes.txt`, one name a line, values are the numbers of the lines from 0 on.
Everything else is refused in words: nobody can tell what a value means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allsight.data.formats.assembly import classes_of, measured
from allsight.data.formats.parsing import read_lines
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.label_maps import MOST_CLASSES, Codes, LabelMap, wrong_size
from allsight.data.pictures.listing import files_below, files_in, folders_in
from allsight.data.pictures.reading import PICTURE_SUFFIXES, opened, picture_size
from allsight.data.roles import role_of
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Scene, Vocabulary

_PICTURES = ("images", "image", "imgs", "img", "jpegimages", "pictures", "photos")
_MASKS: tuple[str, ...] = (
    "masks",
    "mask",
    "segmentationclass",
    "segmentations",
    "segmentation",
    "gt",
    "groundtruth",
    "label",
    "labels",
)
_MASKS += ("annotations", "annotation", "mask_images", "labelids")
_SUFFIXES = frozenset((".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg"))
_ENDING = re.compile(r"([_-](mask|seg|label|labels|gt|segmentation))$", re.IGNORECASE)
SAMPLE = 50  # masks that are looked into, evenly spread
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Pair:
    """A folder of pictures and the one of their masks."""

    pictures: Path
    masks: Path


def mask_splits(root: str | Path) -> dict[str, Pair]:
    """Return the folders of every split; one nameless split if there is but one; none if this is not of this form."""
    root = Path(root)
    pair = _pair(root)
    if pair is None:
        inner = {folder.name: _pair(folder) for folder in folders_in(root) if role_of(folder.name)}
        return {name: found for name, found in inner.items() if found is not None}
    both = {path.name for path in folders_in(pair.pictures)} & {path.name for path in folders_in(pair.masks)}
    named = sorted(name for name in both if role_of(name))
    return {name: Pair(pair.pictures / name, pair.masks / name) for name in named} or {"": pair}


def _pair(root: Path) -> Pair | None:
    folders = {path.name.lower(): path for path in folders_in(root)}
    pictures = next((folders[name] for name in _PICTURES if name in folders), None)
    masks = next((folders[name] for name in _MASKS if name in folders), None)
    if pictures is None or masks is None or not files_below(masks, _SUFFIXES):
        return None
    return Pair(pictures, masks) if files_below(pictures, PICTURE_SUFFIXES) else None


def read_mask_folders(root: str | Path, split: str = "") -> Dataset:
    """Read one split; masks are decoded when a scene is asked for.

    Args:
        root: the folder. split: one of `mask_splits(root)`.

    Raises:
        AnnotationError: no such split, or masks whose values nobody names. A mask that is missing or of another size
            than its picture is a problem only.
    """
    root = Path(root)
    there = mask_splits(root)
    if split not in there:
        raise AnnotationError(f"{root}: has no masks of {split!r}; there are: {', '.join(there) or 'none'}")
    problems: list[Problem] = []
    codes = _codes(root, [path for pair in there.values() for path in files_below(pair.masks, _SUFFIXES)], problems)
    examples = list(_examples(there[split], codes, problems))
    return Dataset(tuple(examples), region_classes=codes.classes, problems=tuple(problems), name=root.name, split=split)


def _codes(root: Path, masks: list[Path], problems: list[Problem]) -> Codes:
    """Return how the masks write classes: as a list says, or as two values do by themselves."""
    listed = next(iter(files_in(root, {".txt"})), None)
    if listed is not None and listed.name in ("classes.txt", "labels.txt"):
        names = read_lines(listed)
        if not 0 < len(names) <= MOST_CLASSES:
            raise AnnotationError(f"{listed}: names {len(names)} classes; give 1 to {MOST_CLASSES}")
        return Codes(classes_of(listed, names))
    values, coloured = _values(masks)
    told = ", ".join(map(str, sorted(values)[:8])) + (f" and {len(values) - 8} more" if len(values) > 8 else "")
    if coloured:
        if not values <= {_BLACK, _WHITE}:
            raise AnnotationError(
                f"{root}: its masks are in the colours {told}; name them in a config.yaml (docs/own-data.md)"
            )
        classes = Vocabulary(("background", "object"))
        return Codes(classes, colours={0: _BLACK, 1: _WHITE})
    high = max((value for value in values if isinstance(value, int)), default=255)
    if not values <= {0, high} or high == 0:
        text = (
            f"{root}: its masks have the values {told}, which nobody names; list the classes in classes.txt, one a line"
        )
        raise AnnotationError(f"{text} from 0 on, or write a config.yaml (docs/own-data.md)")
    text = f"nothing names the values of its masks; 0 is read as background and {high} as object"
    problems.append(Problem("no names", str(root), text, "warning"))
    return Codes(Vocabulary(("background", "object"), (0, high)))


def _values(masks: list[Path]) -> tuple[set[Any], bool]:
    """Return the values, or the colours, in some of the masks, and whether they are colours."""
    numbers: set[Any] = set()
    colours: set[Any] = set()
    for path in masks[:: max(1, len(masks) // SAMPLE)]:
        try:
            with opened(path) as image:
                if image.mode in ("RGB", "RGBA"):
                    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
                    coded = np.unique(pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32))
                    colours |= {(c >> 16, c >> 8 & 255, c & 255) for c in coded.tolist()}
                else:
                    numbers |= {int(value) for value in np.unique(np.asarray(image)).tolist()}
        except PictureError:
            continue  # said when it is read
    return (colours, True) if colours else (numbers, False)


def _examples(pair: Pair, codes: Codes, problems: list[Problem]) -> Iterator[Example]:
    """Give every picture that has a mask of its size."""
    masks: dict[str, Path] = {}
    for path in files_below(pair.masks, _SUFFIXES):
        name = path.relative_to(pair.masks).with_suffix("").as_posix()
        masks[name] = path
        masks.setdefault(_ENDING.sub("", name), path)
    unlabelled, used = 0, set()
    pictures = files_below(pair.pictures, PICTURE_SUFFIXES)
    for path in pictures:
        name = path.relative_to(pair.pictures).with_suffix("").as_posix()
        mask = masks.get(name) or masks.get(_ENDING.sub("", name))
        if mask is None:
            unlabelled += 1
            continue
        used.add(mask)
        size = measured(path, None, problems)
        if size is None:
            continue
        try:
            found = picture_size(mask)
            if found != size:
                raise AnnotationError(wrong_size(mask, found, size))
        except (PictureError, AnnotationError) as error:
            kind = "wrong size" if isinstance(error, AnnotationError) else "unreadable label map"
            problems.append(Problem(kind, str(mask), str(error).removeprefix(f"{mask}: "), picture=str(path)))
            continue
        yield Example(
            path, Scene(size, region_classes=codes.classes, source=str(path)), label_map=LabelMap(mask, codes)
        )
    if unlabelled:
        text = f"{unlabelled} of {len(pictures)} pictures have no mask in {pair.masks}; left out"
        problems.append(Problem("not annotated", str(pair.pictures), text, "warning"))
    alone = sorted(set(masks.values()) - used)
    problems += [Problem("missing picture", str(path), "its picture is not there") for path in alone]
