"""A folder per class: `root/CLASS/NAME.jpg`, or `root/SPLIT/CLASS/NAME.jpg`."""

from pathlib import Path

import torch

from allsight.data.formats.assembly import measured
from allsight.data.formats.copying import copy_pictures
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.reading import PICTURE_SUFFIXES, find_pictures
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

_SPLITS = ("train", "val", "test")


def folder_splits(root: str | Path) -> list[str]:
    """Return the names of the splits; one nameless split if classes lie in `root` itself, none if there are none."""
    root = Path(root)
    below = _folders(root)
    splits = [path.name for path in below if path.name.startswith(_SPLITS) and _classes(path)]
    if splits:
        return splits
    return [""] if _classes(root) else []


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")) if root.is_dir() else []


def _classes(root: Path) -> list[Path]:
    """Return the folders in `root` that hold pictures themselves."""
    return [
        path
        for path in _folders(root)
        if any(f.suffix.lower() in PICTURE_SUFFIXES and f.is_file() for f in path.iterdir())
    ]


def read_folders(root: str | Path, split: str = "") -> Dataset:
    """Read a folder per class; the classes of all splits together are the vocabulary, sorted by name.

    Args:
        root: the folder. split: one of `folder_splits(root)`.

    Raises:
        AnnotationError: there are no class folders.
    """
    root = Path(root)
    home = root / split
    splits = folder_splits(root)
    if split not in splits:
        there = ", ".join(splits) or "none"
        raise AnnotationError(f"{root}: has no folders with pictures for {split!r}; splits that have some: {there}")
    classes = Vocabulary(tuple(sorted({path.name for each in splits for path in _classes(root / each)})))
    problems: list[Problem] = []
    examples = []
    for folder in _classes(home):
        tags = torch.zeros(len(classes))
        tags[classes.index(folder.name)] = 1
        for path in find_pictures([folder]):
            size = measured(path, None, problems)
            if size is not None:
                examples.append(Example(path, Scene(size, tags=tags, tag_classes=classes, source=str(path))))
    return Dataset(tuple(examples), tag_classes=classes, problems=tuple(problems), name=root.name, split=split)


def write_folders(dataset: Dataset, root: str | Path) -> None:
    """Write one split as a folder per class: pictures copied to `SPLIT/CLASS`, or `CLASS` if it has no name.

    Args:
        dataset: pictures of exactly one class each.
        root: the folder; other splits may stand there already.

    Raises:
        AnnotationError: a picture of no class or several, or a class whose name cannot be a folder's.
    """
    root = Path(root)
    classes = dataset.tag_classes or Vocabulary(())
    chosen: list[int] = []
    for example in dataset:
        tags = example.annotation.tags
        if tags is None or int((tags > 0.5).sum()) != 1:
            raise AnnotationError(f"{example.path}: is not of exactly one class; a folder per class cannot say that")
        chosen.append(int(tags.argmax()))
    for label, name in enumerate(classes):
        if "/" in name or "\\" in name or name.startswith("."):
            raise AnnotationError(f"{root}: the class {name!r} cannot be the name of a folder; rename it")
        members = dataset.subset(i for i, each in enumerate(chosen) if each == label)
        copy_pictures(members, root / dataset.split / name)
