"""Splits are complete, repeatable and fair to every class."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.data.formats.catalogue import open_dataset
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.kinds import picture_kind
from allsight.data.split import class_presence, shots, split
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary


def dataset_of(presence: np.ndarray) -> Dataset:
    classes = Vocabulary(tuple(f"class {i}" for i in range(presence.shape[1])))
    examples = []
    for i, row in enumerate(presence):
        labels = torch.from_numpy(np.flatnonzero(row))
        scene = Scene((8, 8), boxes=torch.tensor([[0.0, 0, 1, 1]]).repeat(len(labels), 1), labels=labels)
        examples.append(Example(Path(str(i)), scene))
    return Dataset(tuple(examples), classes, name="made")


def numbers(dataset: Dataset) -> list[int]:
    return [int(example.path.name) for example in dataset]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 5), st.floats(0.1, 0.9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_parts_are_disjoint_complete_and_repeatable(
    seed: int, count: int, classes: int, share: float, stratify: bool
) -> None:
    made = dataset_of(np.random.default_rng(seed).random((count, classes)) < 0.3)
    fractions = {"train": share, "val": 1 - share}
    parts = split(made, fractions, seed, stratify=stratify)
    again = split(made, fractions, seed, stratify=stratify)
    assert sorted(n for part in parts.values() for n in numbers(part)) == list(range(count))
    assert {name: numbers(part) for name, part in parts.items()} == {n: numbers(p) for n, p in again.items()}
    assert abs(len(parts["train"]) - share * count) <= (classes + 1 if stratify else 1)
    assert parts["val"].split == "val"


def test_rare_classes_reach_every_part() -> None:
    generator = np.random.default_rng(0)
    presence = generator.random((200, 4)) < [0.9, 0.5, 0.1, 0.02]
    presence[:5, 3] = True
    for seed in range(5):
        parts = split(dataset_of(presence), {"train": 3, "val": 1, "test": 1}, seed)
        totals = presence.sum(0)
        for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            counts = class_presence(parts[name]).sum(0)
            assert (np.abs(counts - share * totals) <= np.maximum(1.5, 0.05 * totals)).all()


def test_another_seed_gives_another_split() -> None:
    made = dataset_of(np.ones((50, 1), dtype=bool))
    one, two = (numbers(split(made, {"a": 0.5, "b": 0.5}, seed)["a"]) for seed in (0, 1))
    assert one != two


def test_shots_are_nested_and_cover_the_classes() -> None:
    made = dataset_of(np.random.default_rng(0).random((100, 4)) < [0.9, 0.5, 0.1, 0.03])
    for seed in range(5):
        few, more = shots(made, 5, seed), shots(made, 20, seed)
        assert len(few) == 5
        assert set(numbers(few)) < set(numbers(more))
        assert class_presence(few).any(0).all()
    assert numbers(shots(made, 5, 0)) != numbers(shots(made, 5, 1))


def test_shots_of_pictures_tagged_by_their_objects() -> None:
    made = dataset_of(np.random.default_rng(0).random((100, 3)) < [0.9, 0.5, 0.1]).with_object_tags()
    assert (class_presence(shots(made, 4, 0)).sum(0) >= 4).all()
    rarest = int(class_presence(made).sum(0).min())
    with pytest.raises(AnnotationError, match=f"of 'class 2' there are {rarest}$"):
        shots(made, rarest + 1, 0)


def kinds(dataset: Dataset) -> list[str]:
    return [picture_kind(example.picture()) for example in dataset]


def test_of_one_class_every_part_gets_its_share_of_every_kind() -> None:
    dark, bright = torch.full((3, 8, 8), 10), torch.full((3, 8, 8), 200)
    colour = bright - torch.tensor([0, 80, 0])[:, None, None]
    made = dataset_of(np.ones((60, 1), dtype=bool))
    pixels = [dark] * 40 + [colour] * 15 + [bright] * 5
    examples = [replace(e, pixels=p.to(torch.uint8)) for e, p in zip(made, pixels, strict=True)]
    parts = split(replace(made, examples=tuple(examples)), {"train": 0.8, "val": 0.2}, 3)
    assert Counter(kinds(parts["val"])) == {"dark": 8, "colour": 3, "bright": 1}


def test_kinds_of_real_microscopy(shared_data: Path) -> None:
    nuclei = open_dataset(shared_data / "nuclei")
    told = dict(zip(nuclei, kinds(nuclei), strict=True))
    assert Counter(told.values()) == {"dark": 268, "colour": 54, "bright": 8}
    # What is written down in the files themselves: stained tissue comes in one size, the large ones are bright.
    assert {e.annotation.size for e, kind in told.items() if kind == "colour"} == {(256, 320)}
    assert {e.annotation.size for e, kind in told.items() if kind == "bright"} == {(1024, 1024)}
    parts = split(nuclei, {"train": 0.8, "val": 0.2}, 1)
    counts = Counter(told[example] for example in parts["val"])
    assert counts["dark"] in (53, 54)
    assert counts["colour"] in (10, 11)
    assert counts["bright"] in (1, 2)


def test_bad_requests(make_dataset: Callable[..., Dataset]) -> None:
    made = make_dataset([], [])
    for k in (0, 3):
        with pytest.raises(AnnotationError, match="were asked for"):
            shots(made, k, 0)
    for fractions in ({}, {"train": 1.0, "val": 0.0}):
        with pytest.raises(AnnotationError, match="positive"):
            split(made, fractions, 0)


def test_shots_of_classes(shared_data: Path) -> None:
    caltech = open_dataset(shared_data / "caltech7")
    assert class_presence(shots(caltech, 3, 0)).sum(0).tolist() == [3] * 7
    parts = split(caltech, {"train": 0.75, "val": 0.25}, 0)
    share = class_presence(parts["val"]).sum(0) / class_presence(caltech).sum(0)
    assert share.min() > 0.2
    assert share.max() < 0.3
