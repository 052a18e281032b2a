"""One door to all forms of annotation: `open_dataset` looks at a path and picks the reader.

What lies where is decided in `recognition`; how splits get on with each other, in `roles`.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allsight.data.formats.arrays import array_splits, read_arrays, write_arrays
from allsight.data.formats.coco import coco_splits, read_coco
from allsight.data.formats.coco_write import write_coco
from allsight.data.formats.cvat import cvat_splits, read_cvat
from allsight.data.formats.folders import folder_splits, read_folders, write_folders
from allsight.data.formats.idx import idx_splits, read_idx
from allsight.data.formats.instance_maps import instance_splits, read_instances, write_instances
from allsight.data.formats.label_studio import label_studio_splits, read_label_studio
from allsight.data.formats.labelme import labelme_splits, read_labelme
from allsight.data.formats.mask_folders import mask_splits, read_mask_folders
from allsight.data.formats.parsing import is_text
from allsight.data.formats.recognition import recognise
from allsight.data.formats.region_maps import read_regions, region_splits, write_regions
from allsight.data.formats.shortfall import Losses, losses_of
from allsight.data.formats.voc import read_voc, voc_splits
from allsight.data.formats.voc_write import write_voc
from allsight.data.formats.yolo import read_yolo, yolo_splits
from allsight.data.formats.yolo_write import write_yolo
from allsight.data.pictures.dataset import MISSING_SPLIT, Dataset, join
from allsight.data.roles import role_of, settled
from allsight.errors import AnnotationError, OutputError
from allsight.files import refuse_to_overwrite


@dataclass(frozen=True)
class Format:
    """A form of annotation.

    Args:
        splits: path -> names of the splits; empty if the path is not of this form.
        read: (path, split) -> Dataset.
        write: (data set of one split, folder) -> None; None for a form that is read only.
        keeps: the fields of a Scene that it can write.
    """

    splits: Callable[[str | Path], Iterable[str]]
    read: Callable[[str | Path, str], Dataset]
    write: Callable[[Dataset, str | Path], None] | None
    keeps: frozenset[str]


_NONE: frozenset[str] = frozenset()
_STRIPPED = ("voc", "instances")  # forms whose lists lose white space around names
FORMATS: dict[str, Format] = {
    "voc": Format(voc_splits, read_voc, write_voc, frozenset({"boxes", "difficult"})),
    "coco": Format(coco_splits, read_coco, write_coco, frozenset({"boxes", "crowd", "masks", "keypoints", "captions"})),
    "yolo": Format(yolo_splits, read_yolo, write_yolo, frozenset({"boxes", "masks"})),
    "cvat": Format(cvat_splits, read_cvat, None, _NONE),
    "labelme": Format(labelme_splits, read_labelme, None, _NONE),
    "label_studio": Format(label_studio_splits, read_label_studio, None, _NONE),
    "instances": Format(instance_splits, read_instances, write_instances, frozenset({"boxes", "masks"})),
    "regions": Format(region_splits, read_regions, write_regions, frozenset({"regions"})),
    "masks": Format(mask_splits, read_mask_folders, None, _NONE),
    "arrays": Format(array_splits, read_arrays, write_arrays, frozenset({"tags"})),
    "idx": Format(idx_splits, read_idx, None, _NONE),
    "folders": Format(folder_splits, read_folders, write_folders, frozenset({"tags"})),
}


def detect_format(path: str | Path) -> str:
    """Return which of `FORMATS` lies at `path`; `recognise` says why too.

    Raises:
        AnnotationError: nothing is there, or nothing that any reader knows.
    """
    return recognise(path)[0]


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
    if split is None:
        return join(list(open_splits(path, name).values()))
    there = splits(path, name)
    matches = [each for each in there if each == split] or [each for each in there if each.startswith(split)]
    if len(matches) > 1 or not matches:  # val may be called valid or validation
        alike = [each for each in there if split and role_of(each) is not None and role_of(each) == role_of(split)]
        matches = alike or matches
    if len(matches) != 1:
        known = ", ".join(there) if there != [""] else "none, split it first"
        raise AnnotationError(f"{path}: has no split {split!r}; splits: {known}")
    dataset = FORMATS[name].read(path, matches[0])
    missing = next((problem for problem in dataset.problems if problem.kind == MISSING_SPLIT), None)
    if missing is not None and not len(dataset):
        raise AnnotationError(str(missing).removesuffix("; left out"))
    return dataset


def open_splits(path: str | Path, format: str = "auto") -> dict[str, Dataset]:
    """Read all splits of a data set by name: under one vocabulary, and with every picture in one split (`roles`).

    Args:
        path, format: as `open_dataset` takes them.

    Raises:
        AnnotationError: nothing there that can be read.
    """
    name = _known(path, format)
    read = FORMATS[name].read
    return settled({split: read(path, split) for split in splits(path, name)})


def _known(path: str | Path, format: str) -> str:
    if format == "auto":
        return detect_format(path)
    if format not in FORMATS:
        raise AnnotationError(f"{path}: no format is called {format!r}; there are {', '.join(FORMATS)}")
    return format


def lost_fields(dataset: Dataset, format: str) -> list[str]:
    """Return what is annotated in a data set but has no place in a format, for a word of warning before writing."""
    keeps = FORMATS[_known(dataset.name, format)].keeps
    return [name for name, count in losses_of(dataset).fields.items() if count and name not in keeps]


def what_is_lost(datasets: Iterable[Dataset], format: str) -> list[str]:
    """Return how much of what is annotated has no place in a format, a line each, for a word after writing."""
    total = Losses()
    for dataset in datasets:
        total += losses_of(dataset)
    return total.lines(format, FORMATS[format].keeps)


def refuse_to_replace(root: str | Path, force: bool) -> None:
    """Raise an OutputError if something stands at `root`, but with `force` a data set or an empty folder."""
    root = Path(root)
    refuse_to_overwrite(root, force)
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    try:
        detect_format(root)
    except AnnotationError as error:
        raise OutputError(f"{root}: is no data set, so not even --force replaces it; remove it first") from error


def _exchange(new: Path, root: Path, old: Path) -> None:
    """Put a folder in the place of another one, which is kept as `old`; stopped half way, all is as it was."""
    try:
        if root.exists():
            os.replace(root, old)
        os.replace(new, root)
    except BaseException:
        if old.exists() and not root.exists():
            os.replace(old, root)
        raise


def _refuse_names(dataset: Dataset, root: Path, format: str) -> None:
    """Raise an AnnotationError if a class has a name that would not be read back as it is written."""
    for classes in (dataset.object_classes, dataset.tag_classes, dataset.region_classes):
        for name in classes or ():
            if not is_text(name) or (format in _STRIPPED and (not name or name != name.strip())):
                raise AnnotationError(f"{root}: {format} cannot keep the class name {name!a}; rename the class")


def write_datasets(datasets: Mapping[str, Dataset], root: str | Path, format: str, *, force: bool = False) -> None:
    """Write all splits of a data set with copies of its pictures: the whole folder appears, or nothing.

    Args:
        datasets: by name of the split.
        root: the new folder.
        format: one of `FORMATS`.
        force: replace a data set that stands at `root`.

    Raises:
        OutputError: `root` exists (even with `force` if it is no data set), or it cannot be written.
        AnnotationError: no such format, one that is read only, or it cannot say what the data set says.
    """
    write = FORMATS[_known(root, format)].write
    if write is None:
        raise AnnotationError(f"{root}: {format} can be read but not written; choose another form")
    root = Path(root)
    for dataset in datasets.values():
        _refuse_names(dataset, root, format)
    refuse_to_replace(root, force)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            new.mkdir()
            for split, dataset in datasets.items():
                try:
                    write(replace(dataset, split=split), new)
                except OutputError as error:  # nobody knows the temporary folder
                    raise OutputError(str(error).replace(str(new), str(root))) from error
            _exchange(new, root, old)
    except OSError as error:
        raise OutputError(f"{root}: cannot be written ({error.strerror or error}); nothing was left there") from error
