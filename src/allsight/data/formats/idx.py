"""Pictures of one size in MNIST's form: `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte`, gzipped or not."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
SPLITS = {"t10k": "test"}  # MNIST calls its test set by the number of its pictures
_UBYTE = 8  # the type's code in the third byte; the fourth is the number of dimensions


def idx_splits(root: str | Path) -> dict[str, tuple[Path, Path]]:
    """Return the files of pictures and of labels of every split in a folder; empty if there are none."""
    root = Path(root)
    found = {}
    for images in sorted(root.glob(f"*{IMAGES}*")) if root.is_dir() else []:
        name, _, suffix = images.name.partition(IMAGES)
        labels = images.with_name(f"{name}{LABELS}{suffix}")
        if labels.exists():
            found[SPLITS.get(name, name)] = (images, labels)
    return found


def read_idx(root: str | Path, split: str = "") -> Dataset:
    """Read pictures and their classes, which are called by their numbers.

    Args:
        root: the folder. split: "train", "test".

    Raises:
        AnnotationError: no such split, or files that are damaged or do not fit together.
    """
    files = idx_splits(root)
    if split not in files:
        raise AnnotationError(f"{root}: has no split {split!r}; there are: {', '.join(files) or 'none'}")
    images, labels = (_array(path, dimensions) for path, dimensions in zip(files[split], (3, 1), strict=True))
    path = files[split][0]
    if len(images) != len(labels):
        raise AnnotationError(f"{path}: has {len(images)} pictures for {len(labels)} labels; get both files again")
    classes = Vocabulary(tuple(str(i) for i in range(int(labels.max(initial=0)) + 1)))
    grey = torch.from_numpy(images)[:, None]
    one_hot = torch.eye(len(classes))
    height, width = images.shape[1:]
    examples = []
    for i, label in enumerate(labels.tolist()):
        place = Path(f"{path}#{i}")
        scene = Scene((height, width), tags=one_hot[label], tag_classes=classes, source=str(place))
        examples.append(Example(place, scene, pixels=grey[i].expand(3, -1, -1)))
    return Dataset(tuple(examples), tag_classes=classes, name=Path(root).name, split=split)


def _array(path: Path, dimensions: int) -> np.ndarray:
    """Return the numbers of one file: big-endian sizes behind four bytes, then bytes."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: cannot be read ({error}); get it again") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, _UBYTE, dimensions)) or len(content) < start:
        raise AnnotationError(f"{path}: is not an idx file of bytes in {dimensions} dimensions; get it again")
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    if len(content) != start + shape.prod():
        raise AnnotationError(f"{path}: has {len(content) - start} bytes for {shape.prod()}; get it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
