"""Small pictures in one .npz file: `images` (N, H, W, 3) or (N, H, W) uint8, `labels` (N,) and `classes` (C,)."""

import math
import zipfile
from pathlib import Path

import numpy as np
import torch

from allsight.data.formats.assembly import classes_of
from allsight.data.formats.parsing import parsed
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.listing import files_in
from allsight.errors import AnnotationError
from allsight.files import atomic
from allsight.scene import Scene

MOST_BYTES = 2 * 2**30  # of arrays, unpacked; twice as much is in memory for a moment
MOST_CLASSES = 100_000


def array_splits(root: str | Path) -> dict[str, Path]:
    """Return the .npz files of a folder by name, or the file itself; empty if there are none."""
    root = Path(root)
    files = [root] if root.is_file() else files_in(root, {".npz"})
    return {path.stem: path for path in files if path.suffix.lower() == ".npz"}


def read_arrays(root: str | Path, split: str = "") -> Dataset:
    """Read pictures and their classes from a .npz file.

    Args:
        root: the file, or the folder that it lies in. split: the file's name without suffix, if there are several.

    Raises:
        AnnotationError: not such a file, or its arrays do not fit together.
    """
    files = array_splits(root)
    if split not in files and not (len(files) == 1 and not split):
        raise AnnotationError(f"{root}: has no arrays {split!r}; there are: {', '.join(files) or 'none'}")
    file = files[split] if split else next(iter(files.values()))
    images, labels, names = _load(file)
    classes = classes_of(file, names)
    pictures = torch.from_numpy(images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3))
    pictures = pictures.permute(0, 3, 1, 2).contiguous()
    one_hot = torch.eye(len(classes))
    size = (images.shape[1], images.shape[2])
    problems = []
    examples = []
    for i, label in enumerate(labels.tolist()):
        path = Path(f"{file}#{i}")
        if not 0 <= label < len(classes):
            text = f"the class id {label} is not one of {len(classes)} classes; left out"
            problems.append(Problem("unknown class", str(path), text))
            continue
        scene = Scene(size, tags=one_hot[label], tag_classes=classes, source=str(path))
        examples.append(Example(path, scene, pixels=pictures[i]))
    home = file.parent if Path(root).is_file() else Path(root)
    return Dataset(tuple(examples), tag_classes=classes, problems=tuple(problems), name=home.name, split=split)


def _load(file: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    with parsed(file, "a readable .npz file", "save it again"):
        _refuse_too_large(file)
        with np.load(file, allow_pickle=False) as arrays:
            lacking = [name for name in ("images", "labels") if name not in arrays]
            if lacking:
                raise AnnotationError(f"{file}: lacks {lacking[0]!r}; save arrays called images, labels and classes")
            images, labels = np.asarray(arrays["images"]), np.asarray(arrays["labels"])
            names = tuple(map(str, arrays["classes"].ravel())) if "classes" in arrays else None
    fits = images.dtype == np.uint8 and (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3))
    if not fits or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        found = f"images {images.dtype} {images.shape}, labels {labels.dtype} {labels.shape}"
        raise AnnotationError(f"{file}: has {found}; give uint8 (N, H, W, 3) and whole numbers (N,)")
    if names is None:
        most = int(labels.max(initial=0))
        if most >= MOST_CLASSES:
            raise AnnotationError(f"{file}: has the label {most:,} and no classes; save at most {MOST_CLASSES:,} names")
        names = tuple(str(i) for i in range(most + 1))
    return images, labels, names


def _refuse_too_large(file: Path) -> None:
    """Raise an AnnotationError if the arrays would not fit into memory, before they are unpacked."""
    with zipfile.ZipFile(file) as archive:
        size = sum(each.file_size for each in archive.infolist())
        declared = 0
        for each in archive.infolist():
            with archive.open(each) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(member)
                declared += math.prod(shape) * dtype.itemsize
    if max(size, declared) > MOST_BYTES:
        limit = MOST_BYTES // 2**30
        raise AnnotationError(f"{file}: has more than {limit} GiB of arrays; keep the pictures as files, or in parts")


def write_arrays(dataset: Dataset, root: str | Path) -> None:
    """Write one split to `SPLIT.npz`; all pictures must be of one size and of one class each.

    Args:
        dataset: its split gives the name, "all" if it has none.
        root: the folder.

    Raises:
        AnnotationError: pictures of several sizes, or of no class.
    """
    if len({example.annotation.size for example in dataset}) != 1:
        raise AnnotationError(f"{dataset.name}: its pictures are not all of one size; arrays need that")
    if any(example.annotation.tags is None for example in dataset):
        raise AnnotationError(f"{dataset.name}: has pictures of no class; arrays need one each")
    images = torch.stack([example.picture() for example in dataset]).permute(0, 2, 3, 1).numpy()
    labels = np.array([int(e.annotation.tags.argmax()) for e in dataset if e.annotation.tags is not None])
    with atomic(Path(root) / f"{dataset.split or 'all'}.npz") as temporary:
        np.savez_compressed(temporary, images=images, labels=labels, classes=np.array(list(dataset.tag_classes or ())))
