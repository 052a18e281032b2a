"""One door to all forms of annotation: `open_dataset` looks at a path and picks the reader."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allsight.data.formats.arrays import array_splits, read_arrays, write_arrays
from allsight.data.formats.coco import coco_splits, read_coco, write_coco
from allsight.data.formats.folders import folder_splits, read_folders, write_folders
from allsight.data.formats.idx import idx_splits, read_idx
from allsight.data.formats.instance_maps import instance_splits, read_instances, write_instances
from allsight.data.formats.names import refuse_names
from allsight.data.formats.region_maps import read_regions, region_splits, write_regions
from allsight.data.formats.voc import read_voc, voc_splits, write_voc
from allsight.data.formats.yolo import read_yolo, write_yolo, yolo_splits
from allsight.data.pictures.dataset import Dataset, join
from allsight.errors import AnnotationError, OutputError
from allsight.files import clear_leavings, refuse_to_overwrite, settle, together
from allsight.files.lock import LOCK


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


# In the order in which they are tried; a folder per class comes last because almost any folder looks like one.
FORMATS: dict[str, Format] = {
    "voc": Format(voc_splits, read_voc, write_voc, frozenset({"boxes", "difficult"})),
    "coco": Format(coco_splits, read_coco, write_coco, frozenset({"boxes", "crowd", "masks", "keypoints", "captions"})),
    "yolo": Format(yolo_splits, read_yolo, write_yolo, frozenset({"boxes", "masks"})),
    "instances": Format(instance_splits, read_instances, write_instances, frozenset({"boxes", "masks"})),
    "regions": Format(region_splits, read_regions, write_regions, frozenset({"regions"})),
    "arrays": Format(array_splits, read_arrays, write_arrays, frozenset({"tags"})),
    "idx": Format(idx_splits, read_idx, None, frozenset()),
    "folders": Format(folder_splits, read_folders, write_folders, frozenset({"tags"})),
}


def detect_format(path: str | Path) -> str:
    """Return which of `FORMATS` lies at `path`.

    Raises:
        AnnotationError: nothing is there, or nothing that any reader knows.
    """
    settle(path)
    if not Path(path).exists():
        raise AnnotationError(f"{path}: does not exist; check the path")
    for name, form in FORMATS.items():
        if list(form.splits(path)):
            return name
    forms = (
        "VOC (Annotations/*.xml), COCO (annotations/*.json), YOLO (data.yaml), maps of instances (instances/*.png), "
        "label maps (config.yaml), a folder per class, .npz or MNIST's idx"
    )
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


def lost_fields(dataset: Dataset, format: str) -> list[str]:
    """Return what is annotated in a data set but has no place in a format, for a word of warning before writing."""
    keeps = FORMATS[_known(dataset.name, format)].keeps
    present = {
        "boxes": any(e.annotation.boxes is not None for e in dataset),
        "crowd": any(e.annotation.crowd is not None and bool(e.annotation.crowd.any()) for e in dataset),
        "difficult": any(e.annotation.difficult is not None and bool(e.annotation.difficult.any()) for e in dataset),
        "masks": any(e.outlines is not None or e.annotation.masks is not None for e in dataset),
        "keypoints": any(e.annotation.keypoints is not None for e in dataset),
        "tags": any(e.annotation.tags is not None for e in dataset),
        "regions": any(e.label_map is not None or e.annotation.regions is not None for e in dataset),
        "captions": any(e.annotation.captions is not None for e in dataset),
    }
    return [name for name, there in present.items() if there and name not in keeps]


def refuse_to_replace(root: str | Path, force: bool) -> None:
    """Raise an OutputError if something stands at `root`, but with `force` a data set or an empty folder."""
    root = Path(root)
    if root.is_dir():
        settle(root)
        clear_leavings(root)
        if all(path.name == LOCK for path in root.iterdir()):
            return
    refuse_to_overwrite(root, force)
    if not root.exists():
        return
    try:
        detect_format(root)
    except AnnotationError as error:
        raise OutputError(f"{root}: is no data set, so not even --force replaces it; remove it first") from error


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
    refuse_to_replace(root, force)
    refuse_names(datasets.values(), format)
    with together(root, None) as temporary:
        for split, dataset in datasets.items():
            write(replace(dataset, split=split), temporary)
