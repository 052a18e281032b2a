"""Parts of a data set, drawn by a seed: train and val with equal shares of every class, or a few shots."""

from collections.abc import Mapping

import numpy as np

from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.kinds import picture_kind
from allsight.data.twins import digest_of
from allsight.errors import AnnotationError, PictureError

_SMALL = 128  # pixels of the longer side that are enough to tell a picture's kind


def class_presence(dataset: Dataset) -> np.ndarray:
    """Return (N, C) bool: which classes of objects and tags occur in which picture."""
    objects = len(dataset.object_classes or ())
    tags = len(dataset.tag_classes or ())
    present = np.zeros((len(dataset), objects + tags), dtype=bool)
    for row, example in zip(present, dataset, strict=True):
        if example.annotation.labels is not None:
            row[example.annotation.labels.numpy()] = True
        if example.annotation.tags is not None:
            row[objects:] = example.annotation.tags.numpy() > 0.5
    return present


def kind_presence(dataset: Dataset) -> np.ndarray:
    """Return (N, K) bool: of which kind each picture is (see `picture_kind`); what cannot be read is one of its own."""
    kinds = [_kind(example) for example in dataset]
    return np.array([[kind == each for each in sorted(set(kinds))] for kind in kinds]).reshape(len(kinds), -1)


def _kind(example: Example) -> str:
    try:
        return picture_kind(example.picture(longest=_SMALL))
    except PictureError:
        return "unreadable"


def split(dataset: Dataset, fractions: Mapping[str, float], seed: int, *, stratify: bool = True) -> dict[str, Dataset]:
    """Divide a data set at random, every class in the same proportion.

    Where there is but one class of objects, which can say little, the kinds of pictures are divided so as well: of
    microscopy, fluorescence and stained tissue.

    Args:
        dataset: all examples.
        fractions: share of every part by name, such as {"train": 0.8, "val": 0.2}; scaled to a sum of 1.
        seed: the same seed gives the same parts.
        stratify: by iterative stratification (Sechidis et al., "On the stratification of multi-label data", 2011,
            algorithm 1): the rarest class first, each of its pictures to the part that lacks it most.

    Returns:
        The parts by name, in the order of the data set.

    Raises:
        AnnotationError: fractions that are not positive.
    """
    if not fractions or not all(0 < share < float("inf") for share in fractions.values()):
        raise AnnotationError(f"{dataset.name}: shares of a split must be positive, not {dict(fractions)}")
    shares = np.array(list(fractions.values())) / sum(fractions.values())
    generator = np.random.default_rng(seed)
    present = class_presence(dataset) if stratify else np.zeros((len(dataset), 0), dtype=bool)
    if stratify and present.shape[1] == 1 and dataset.object_classes is not None:
        present = np.concatenate([present, kind_presence(dataset)], axis=1)
    # Of pictures that are equal byte by byte the first one is drawn, and the others go with it: none is on both sides.
    owner = _first_equal(dataset)
    alone = np.flatnonzero(owner == np.arange(len(dataset)))
    part = np.full(len(dataset), -1)
    part[alone] = _stratify(present[alone], shares, generator)
    part = part[owner]
    return {name: dataset.subset(np.flatnonzero(part == i).tolist(), split=name) for i, name in enumerate(fractions)}


def _first_equal(dataset: Dataset) -> np.ndarray:
    """Return (N,) the index of the first picture of equal bytes; what cannot be read is equal to none."""
    first: dict[object, int] = {}
    owner = np.arange(len(dataset))
    for i, example in enumerate(dataset):
        if example.pixels is None:  # arrays hold thousands of small ones, black ones among them
            try:
                owner[i] = first.setdefault(digest_of(example), i)
            except PictureError:
                continue
    return owner


def _stratify(present: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (N,) the part of every example; present: (N, C) bool, shares: (P,) of sum 1."""
    order = generator.permutation(len(present))
    wanted = shares * len(present)
    wanted_of_class = shares[:, None] * present.sum(0)
    part = np.full(len(present), -1)
    while (free := order[part[order] < 0]).size:
        left = present[free].sum(0)
        rarest = int(np.where(left > 0, left, len(present) + 1).argmin()) if (left > 0).any() else None
        for i in free if rarest is None else free[present[free, rarest]]:
            lack = wanted if rarest is None else wanted_of_class[:, rarest]
            chosen = int(np.lexsort((wanted, lack.round(9)))[-1])
            part[i] = chosen
            wanted[chosen] -= 1
            wanted_of_class[chosen, present[i]] -= 1
    return part


def shots(dataset: Dataset, k: int, seed: int) -> Dataset:
    """Draw a few labelled pictures.

    For tags, k pictures of every class; for objects, k pictures in all, first such that every class occurs (the
    rarest first), then at random. Of one seed, fewer shots are a part of more: a curve over k compares like with like.

    Args:
        dataset: all labelled pictures.
        k: at least 1.
        seed: the same seed gives the same pictures.

    Raises:
        AnnotationError: there are not so many.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    present = class_presence(dataset)
    if dataset.tag_classes is not None:
        tagged = present[:, len(dataset.object_classes or ()) :]
        counts = dict(zip(dataset.tag_classes.names, tagged.sum(0).tolist(), strict=True))
        rarest = min(counts, key=counts.__getitem__, default="")
        if k < 1 or counts.get(rarest, 0) < k:
            raise AnnotationError(
                f"{dataset.name}: {k} pictures of every class were asked for, of {rarest!r} there are "
                f"{counts.get(rarest, 0)}"
            )
        chosen = [i for column in tagged.T for i in order[column[order]][:k].tolist()]
        return dataset.subset(dict.fromkeys(chosen))
    if not 1 <= k <= len(dataset):
        raise AnnotationError(f"{dataset.name}: {k} pictures were asked for, there are {len(dataset)}")
    first: list[int] = []
    for label in np.argsort(present.sum(0), kind="stable"):
        if present[:, label].any() and not present[first, label].any():
            first.append(int(order[present[order, label]][0]))
    return dataset.subset(list(dict.fromkeys([*first, *order.tolist()]))[:k])
