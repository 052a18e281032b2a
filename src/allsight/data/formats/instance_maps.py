"""Maps of instances: one picture of 16-bit numbers beside every picture, 0 for nothing, each other number one object.

    root/images/NAME.png   root/instances/NAME.png                     (as microscopists keep cells and nuclei)
    root/images/SPLIT/NAME.png   root/instances/SPLIT/NAME.png         (written by `write_instances`)

There is one class, called as `classes.txt` says, or as the folder. Numbers need not follow each other, and one object
may lie in several pieces.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from allsight.data.formats.assembly import classes_of, measured
from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.formats.parsing import read_lines
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.label_maps import wrong_size
from allsight.data.pictures.listing import folders_in
from allsight.data.pictures.reading import find_pictures, opened
from allsight.errors import AnnotationError, OutputError, PictureError
from allsight.scene import Masks, Scene, Vocabulary

PICTURES, MAPS = "images", "instances"
MOST = 2**16 - 1
_MODES = ("L", "I", "I;16", "I;16B", "I;16L")


def instance_splits(root: str | Path) -> list[str]:
    """Return the names of the splits; one nameless split if the maps lie in no folder of their own; none if none do."""
    maps = Path(root) / MAPS
    if not maps.is_dir() or not (Path(root) / PICTURES).is_dir():
        return []
    named = [path.name for path in folders_in(maps)]
    return named or ([""] if any(maps.glob("*.png")) else [])


def read_instances(root: str | Path, split: str = "") -> Dataset:
    """Read one split: boxes, labels and masks of all instances.

    The maps are read here, all of them, as their boxes are in nothing else: 330 of them in two seconds.

    Args:
        root: the folder. split: one of `instance_splits(root)`.

    Raises:
        AnnotationError: no such split. A map that is missing, damaged or of another size than its picture is a problem
            of that picture only.
    """
    root = Path(root)
    if split not in instance_splits(root):
        raise AnnotationError(f"{root}: has no instances {split!r}; splits that have some: {instance_splits(root)}")
    classes = _classes(root)
    problems: list[Problem] = []
    examples = []
    try:
        pictures = find_pictures([root / PICTURES / split])
    except PictureError as error:
        raise AnnotationError(str(error)) from None
    for path in pictures:
        size = measured(path, None, problems)
        file = root / MAPS / split / f"{path.stem}.png"
        if size is None:
            continue
        try:
            masks = Masks.from_labels(torch.from_numpy(_numbers(file, size)))
        except (PictureError, AnnotationError) as error:
            kind = "unreadable annotation" if file.exists() else "missing annotation"
            problems.append(Problem(kind, str(file), str(error).removeprefix(f"{file}: "), picture=str(path)))
            continue
        labels = torch.zeros(len(masks), dtype=torch.int64)
        scene = Scene(size, boxes=masks.boxes(), labels=labels, masks=masks, object_classes=classes, source=str(path))
        examples.append(Example(path, scene))
    return Dataset(tuple(examples), classes, problems=tuple(problems), name=root.name, split=split)


def _classes(root: Path) -> Vocabulary:
    """Return the one class."""
    file = root / "classes.txt"
    names = read_lines(file) if file.is_file() else [root.resolve().name]
    if len(names) != 1:
        raise AnnotationError(f"{file}: names {len(names)} classes; maps of instances know one")
    return classes_of(file, names)


def _numbers(file: Path, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W) int64."""
    with opened(file) as image:
        if image.mode not in _MODES:
            raise AnnotationError(f"{file}: is a picture of mode {image.mode}, not of numbers; save it in 16 bits")
        if (image.height, image.width) != tuple(size):
            raise AnnotationError(wrong_size(file, (image.height, image.width), size))
        return np.asarray(image).astype(np.int64)


def write_instances(dataset: Dataset, root: str | Path) -> None:
    """Write one split as pictures and maps of instances.

    Where instances overlap, the smaller one is seen; what nothing is left of keeps no number.

    Args:
        dataset: of one class, with masks. root: the folder; gets images/SPLIT, instances/SPLIT and classes.txt.

    Raises:
        AnnotationError: several classes, no masks, or more instances than numbers. OutputError: it cannot be written.
    """
    root = Path(root)
    classes = dataset.object_classes or Vocabulary(())
    if len(classes) != 1:
        raise AnnotationError(f"{dataset.name}: has {len(classes)} classes; maps of instances know one")
    names = copy_pictures(dataset, root / PICTURES / dataset.split, distinct_stems=True)
    folder = root / MAPS / dataset.split
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for example, name in zip(dataset, names, strict=True):
            Image.fromarray(_painted(example)).save(folder / f"{Path(name).stem}.png")
    except OSError as error:
        raise OutputError(f"{folder}: maps of instances cannot be written ({error})") from error
    put_text(root / "classes.txt", classes[0] + "\n")


def _painted(example: Example) -> np.ndarray:
    """Return (H, W) uint16, the largest instances below the others."""
    scene = example.scene
    if scene.masks is None or len(scene) > MOST:
        what = "no masks" if scene.masks is None else f"{len(scene)} instances"
        raise AnnotationError(f"{example.path}: has {what}; a map of instances needs masks, at most {MOST}")
    numbers = np.zeros(scene.size, dtype=np.uint16)
    order = scene.masks.area().argsort(descending=True, stable=True)
    for number, one in enumerate(order.tolist(), start=1):
        mask = scene.masks[torch.tensor([one])]
        left, top, right, bottom = mask.windows[0].tolist()
        numbers[top:bottom, left:right][mask.bits.reshape(bottom - top, right - left).numpy()] = number
    return numbers
