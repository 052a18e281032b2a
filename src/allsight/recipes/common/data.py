"""Data for a training: what is learned from, what is judged by, and what the doctor has to say about them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from allsight.data.doctor import check
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.pictures.dataset import Dataset
from allsight.data.split import split
from allsight.errors import TrainingError

HELD_OUT = 0.2  # share of pictures that are set aside where the data have no split of their own


class Data(NamedTuple):
    """What a training is given.

    Args:
        train: what can be learned from. val: what is judged by. notes: lines for a person about both.
    """

    train: Dataset
    val: Dataset
    notes: Sequence[str] = ()


def checked(sides: dict[str, Dataset], path: Path) -> Data:
    """Return train and val without what cannot be used, and what the doctor has to say about them.

    Raises:
        TrainingError: they cannot be learned from or judged by; `path` is named.
    """
    report = check(sides)
    if report.fatal:
        raise TrainingError(f"{path}: {report.fatal[0]}")
    if not len(report.datasets["val"]):  # now, not after the first epochs
        raise TrainingError(f"{path}: has no usable picture to be judged by; give it a val split, or more pictures")
    return Data(report.datasets["train"], report.datasets["val"], report.lines(each=3))


def learned_and_held_out(paths: Sequence[Path], seed: int) -> tuple[list[Dataset], list[Dataset]]:
    """Return what to learn from of every data set, and what to be judged by of those that have some.

    What has no split called val (or test) is split by chance, unless it is one of several and has one called train:
    another one of them may be judged by.

    Raises:
        AnnotationError: a path cannot be read. TrainingError: there is nothing to be judged by.
    """
    train, val = [], []
    for path in paths:
        there = splits(path)
        held_out = next((name for kind in ("val", "test") for name in there if name.startswith(kind)), None)
        learned = next((name for name in there if name.startswith("train")), None)
        if learned is not None and held_out is not None:
            train.append(open_dataset(path, learned))
            val.append(open_dataset(path, held_out))
        elif len(paths) > 1 and learned is not None:
            train.append(open_dataset(path, learned))
        else:
            sides = split(open_dataset(path), {"train": 1 - HELD_OUT, "val": HELD_OUT}, seed)
            train.append(sides["train"])
            val.append(sides["val"])
    if not val:
        raise TrainingError(f"{paths[0]}: no pictures to be judged by; give a data set with a val split")
    return train, val


def training_window(dataset: Dataset, longest: int, multiple: int = 32) -> tuple[int, int]:
    """Return the (height, width) of training pictures: the usual shape of the data, the longer side `longest`."""
    sizes = torch.tensor([example.annotation.size for example in dataset], dtype=torch.float64)
    height, width = (sizes / sizes.amax(1, keepdim=True)).median(0).values.tolist()
    return (-(-round(height * longest) // multiple) * multiple, -(-round(width * longest) // multiple) * multiple)
