"""What the commands that read and write data sets share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from allsight.cli.terminal import note
from allsight.errors import AnnotationError, OutputError

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset, Problem

SPELLED_OUT = 5  # problems that get a line of their own


def read_splits(path: Path, split: str | None = None) -> "dict[str, Dataset]":
    """Read all splits of a data set by name, or the one that is asked for."""
    from allsight.data.formats.catalogue import open_dataset, open_splits

    if split is None:
        return open_splits(path)
    dataset = open_dataset(path, split)
    return {dataset.split: dataset}


def read_all(path: Path) -> "Dataset":
    """Read a data set with its splits joined."""
    from allsight.data.formats.catalogue import open_dataset

    return open_dataset(path)


def write_splits(
    datasets: "Mapping[str, Dataset]", target: Path, form: str, *, sources: Sequence[Path], force: bool
) -> None:
    """Write a data set into a folder of its own, after a word on what reading found, and count what was lost.

    Raises:
        OutputError: the target exists and is not to be replaced, or what is read lies in it.
        AnnotationError: there is nothing to write, or the form has no place for it.
    """
    from allsight.data.formats.catalogue import lost_fields, refuse_to_replace, what_is_lost, write_datasets

    for source in sources:
        if _within(source, target) or _within(target, source):
            raise OutputError(f"{target}: one of {source} and {target} lies in the other; choose another folder")
    refuse_to_replace(target, force)
    if form == "regions":
        datasets = {name: dataset.with_regions() for name, dataset in datasets.items()}
    if not any(len(dataset) for dataset in datasets.values()):
        raise AnnotationError(f"{sources[0]}: no usable pictures to write; `allsight check` says why")
    problems = dict.fromkeys(problem for dataset in datasets.values() for problem in dataset.problems)
    tell(list(problems))
    lost = {field for dataset in datasets.values() for field in lost_fields(dataset, form)}
    one = next(iter(datasets.values()))
    kinds = (("boxes", one.object_classes), ("tags", one.tag_classes), ("regions", one.region_classes))
    main = [name for name, classes in kinds if classes is not None]
    if lost.issuperset(main):
        raise AnnotationError(f"{sources[0]}: {form} has no place for {' and '.join(main)}; choose another form")
    write_datasets(datasets, target, form, force=force)
    for line in what_is_lost(datasets.values(), form):
        note(line)


def tell(problems: "Sequence[Problem]") -> None:
    """Say what was wrong with data that were read."""
    for problem in problems[:SPELLED_OUT]:
        note(str(problem))
    if len(problems) > SPELLED_OUT:
        note(f"and {len(problems) - SPELLED_OUT:,} more problems; `allsight check` lists them")


def told(dataset: "Dataset") -> str:
    """Return `train: 164 pictures, 3,874 objects of 3 classes`."""
    parts = [f"{len(dataset):,} pictures"]
    if dataset.object_classes is not None:
        count = sum(len(example.annotation) for example in dataset)
        parts.append(f"{count:,} objects of {len(dataset.object_classes)} classes")
    if dataset.tag_classes is not None:
        parts.append(f"tags of {len(dataset.tag_classes)} classes")
    if dataset.region_classes is not None:
        parts.append(f"regions of {len(dataset.region_classes)} classes")
    return f"{dataset.split or 'all'}: {', '.join(parts)}"


def _within(path: Path, folder: Path) -> bool:
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return inner == outer or inner.startswith(os.path.join(outer, ""))
