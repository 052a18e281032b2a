"""One door to all forms of annotation: `open_dataset` looks at a path and picks the reader."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from allsight.data.arrays import array_splits, read_arrays
from allsight.data.coco import coco_splits, read_coco
from allsight.data.dataset import Dataset, join
from allsight.data.folders import folder_splits, read_folders
from allsight.data.voc import read_voc, voc_splits
from allsight.data.yolo import read_yolo, yolo_splits
from allsight.errors import AnnotationError


@dataclass(frozen=True)
class Format:
    """A form of annotation.

    Args:
        splits: path -> names of the splits; empty if the path is not of this form.
        read: (path, split) -> Dataset.
    """

    splits: Callable[[str | Path], Iterable[str]]
    read: Callable[[str | Path, str], Dataset]


# In the order in which they are tried; a folder per class comes last because almost any folder looks like one.
FORMATS: dict[str, Format] = {
    "voc": Format(voc_splits, read_voc),
    "coco": Format(coco_splits, read_coco),
    "yolo": Format(yolo_splits, read_yolo),
    "arrays": Format(array_splits, read_arrays),
    "folders": Format(folder_splits, read_folders),
}


def detect_format(path: str | Path) -> str:
    """Return which of `FORMATS` lies at `path`.

    Raises:
        AnnotationError: nothing is there, or nothing that any reader knows.
    """
    if not Path(path).exists():
        raise AnnotationError(f"{path}: does not exist; check the path")
    for name, form in FORMATS.items():
        if list(form.splits(path)):
            return name
    forms = "VOC (Annotations/*.xml), COCO (annotations/*.json), YOLO (data.yaml), a folder per class or .npz"
    raise AnnotationError(f"{path}: no data set that can be read; give {forms}")


def splits(path: str | Path, format: str = "auto") -> list[str]:
    """Return the names of the splits at `path`; one empty name if it is not split."""
    return list(FORMATS[_known(path, format)].splits(path))


def open_dataset(path: str | Path, split: str | None = None, format: str = "auto") -> Dataset:
    """Read an annotated data set, whatever its form; pictures are not decoded.

    Args:
        path: the folder, or the file that describes it (COCO's JSON, YOLO's YAML, .npz).
        split: the name, or its beginning ("train" for train2017); None for all splits together.
        format: one of `FORMATS`, or "auto".

    Raises:
        AnnotationError: nothing there that can be read, or no such split.
    """
    name = _known(path, format)
    there = splits(path, name)
    read = FORMATS[name].read
    if split is None:
        return join([read(path, each) for each in there])
    matches = [each for each in there if each == split] or [each for each in there if each.startswith(split)]
    if len(matches) != 1:
        known = ", ".join(there) if there != [""] else "none, split it first"
        raise AnnotationError(f"{path}: has no split {split!r}; splits: {known}")
    return read(path, matches[0])


def _known(path: str | Path, format: str) -> str:
    if format == "auto":
        return detect_format(path)
    if format not in FORMATS:
        raise AnnotationError(f"{path}: no format is called {format!r}; there are {', '.join(FORMATS)}")
    return format
