"""`allsight convert`: a data set in another form."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from allsight.cli.datasets import read_splits, told, write_splits
from allsight.cli.terminal import show

# Torch is imported inside the functions: help must not wait for it.
Form = Literal["coco", "voc", "yolo", "instances", "regions", "arrays", "folders"]


def convert(
    source: Annotated[Positional[Path], arg(metavar="SOURCE")],
    target: Annotated[Positional[Path], arg(metavar="TARGET")],
    *,
    to: Form,
    force: bool = False,
) -> int:
    """Write a data set, all its splits and copies of its pictures, in another form into a new folder.

    Args:
        source: A data set in any form: COCO JSON, VOC XML, YOLO txt, maps of instances or labels, class folders, .npz.
        target: The new folder.
        to: The form to write.
        force: Replace a data set that stands at TARGET.

    Returns:
        The exit code.
    """
    datasets = read_splits(source)
    write_splits(datasets, target, to, sources=[source], force=force)
    show(*(f"{told(dataset)}" for dataset in datasets.values()), f"written as {to} to {target}/")
    return 0
