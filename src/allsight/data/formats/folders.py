"""A folder per class: `root/CLASS/NAME.jpg`, or `root/SPLIT/CLASS/NAME.jpg`.

Folders called as tools call those of pictures, masks, labels and splits (images, masks, train, obj_train_data) are no
classes, and neither are folders in which other files than pictures say what is on them.
"""

import re
from pathlib import Path

import torch

from allsight.data.formats.assembly import classes_of, measured
from allsight.data.formats.copying import copy_pictures
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.listing import files_in, folders_in, is_residue
from allsight.data.pictures.reading import PICTURE_SUFFIXES, find_pictures
from allsight.data.roles import role_of
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

_WORDS = (
    "images image imgs img pictures pics photos jpegimages masks mask labels label annotations annotation annots annot",
    "segmentationclass segmentationobject instances obj_train_data obj_valid_data obj_validation_data obj_test_data",
    "train training val valid validation dev test testing trainval trainannot valannot testannot data dataset",
    "imagesets gt groundtruth ground_truth depth unlabeled unlabelled",
)
NO_CLASSES = frozenset(word for line in _WORDS for word in line.split())
MOST_LETTERS = 255  # bytes of a name that file systems take
_NOTES = frozenset((".xml", ".json", ".txt"))


def is_no_class(name: str) -> bool:
    """Whether a folder is called as tools call those of pictures, masks, labels and splits."""
    return re.sub(r"[\d_ .-]+$", "", name.lower()) in NO_CLASSES


def folder_splits(root: str | Path) -> list[str]:
    """Return the names of the splits; one nameless split if classes lie in `root` itself, none if there are none."""
    root = Path(root)
    splits = [path.name for path in folders_in(root) if role_of(path.name) and _classes(path)]
    if splits:
        return splits
    return [""] if _classes(root) else []


def loose_pictures(root: Path) -> list[Path]:
    """Return the folders in `root` that hold pictures themselves but are no classes by their names."""
    return [path for path in folders_in(root) if is_no_class(path.name) and files_in(path, PICTURE_SUFFIXES)]


def _classes(root: Path) -> list[Path]:
    """Return the folders in `root` that hold pictures themselves and are classes; none if one of them is annotated."""
    found = []
    for path in folders_in(root):
        pictures = files_in(path, PICTURE_SUFFIXES)
        if not pictures or is_no_class(path.name):
            continue
        if 2 * len({p.stem for p in files_in(path, _NOTES)} & {p.stem for p in pictures}) > len(pictures):
            return []
        found.append(path)
    return found


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
    classes = classes_of(root, sorted({path.name for each in splits for path in _classes(root / each)}))
    problems: list[Problem] = []
    for folder in loose_pictures(root) if split == splits[0] else ():
        if folder.name not in splits:
            text = f"{folder.name}/ holds pictures but no folder per class, and its name is that of no class; left out"
            problems.append(Problem("no class", str(folder), text, "warning"))
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
        long = len(name.encode()) > MOST_LETTERS
        if not name.strip() or long or "/" in name or "\\" in name or is_residue(name) or is_no_class(name):
            raise AnnotationError(f"{root}: the class {name!r} cannot be the name of a folder of a class; rename it")
        members = dataset.subset(i for i, each in enumerate(chosen) if each == label)
        copy_pictures(members, root / dataset.split / name)
