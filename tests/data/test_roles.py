"""What learns and what judges, and that no picture does both."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allsight.data.formats.catalogue import open_dataset, open_splits, what_is_lost, write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.roles import apart, judging_name, learned_name, of_one_vocabulary, role_of, sides
from allsight.data.split import split
from allsight.scene import Vocabulary

from .conftest import CLASSES, save_picture

MadeDataset = Callable[..., Dataset]
ALL = [(0, 3, 5, 40, 40), (1, 3, 5, 40, 40), (2, 3, 5, 40, 40)]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *[(n, "train") for n in ("train", "Train", "training", "train2017", "train_set", "my-train-1")],
        *[(n, "val") for n in ("val", "valid", "validation", "val2017", "dev", "Validation")],
        *[(n, "test") for n in ("test", "testing", "test-dev2017")],
        *[(n, None) for n in ("trainval", "valley", "trainer", "result", "", "t10k", "latest")],
    ],
)
def test_roles_by_name(name: str, role: str | None) -> None:
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("names", "learned", "judging"),
    [
        (["test", "train", "val"], "train", "val"),
        (["test", "train", "valid"], "train", "valid"),
        (["test", "train"], "train", "test"),
        (["test", "trainval"], "trainval", "test"),
        (["train", "trainval", "val"], "train", "val"),
        ([""], None, None),
        (["a", "b"], None, None),
    ],
)
def test_val_judges_and_test_only_where_there_is_none(
    names: list[str], learned: str | None, judging: str | None
) -> None:
    assert (learned_name(names), judging_name(names)) == (learned, judging)


def names_of(dataset: Dataset | None) -> set[str]:
    assert dataset is not None
    return {example.name for example in dataset}


def test_sides(make_dataset: MadeDataset) -> None:
    made = make_dataset(*[ALL] * 10)
    parts = {"test": made.subset([0, 1]), "train": made.subset(range(2, 8)), "valid": made.subset([8, 9])}
    chosen = sides(parts, seed=0)
    assert (names_of(chosen.learned), names_of(chosen.held_out)) == (names_of(parts["train"]), names_of(parts["valid"]))
    assert chosen.words == "valid"
    del parts["valid"]
    chosen = sides(parts, seed=0)
    assert names_of(chosen.held_out) == names_of(parts["test"])
    assert chosen.words == "test, as there is no val"
    for only in ({"": made}, {"train": made}, {"a": made.subset(range(5)), "b": made.subset(range(5, 10))}):
        chosen = sides(only, seed=1)
        assert names_of(chosen.learned) | names_of(chosen.held_out) == names_of(made)
        assert not names_of(chosen.learned) & names_of(chosen.held_out)
        assert len(chosen.held_out or ()) == 2
        assert chosen.words == "20% of the pictures, drawn with seed 1"
    assert sides({"train": made}, seed=1, chance=False).held_out is None


def test_a_picture_belongs_to_one_split_whatever_path_leads_to_it(make_dataset: MadeDataset, tmp_path: Path) -> None:
    made = make_dataset(ALL, ALL, ALL)
    linked = tmp_path / "linked.png"
    os.symlink(made[0].path, linked)
    val = replace(made, examples=(replace(made[0], path=linked), made[2]), split="val")
    parts = apart({"val": val, "train": made.subset([0, 1])})
    assert [names_of(parts["train"]), names_of(parts["val"])] == [{"picture 0", "picture 1"}, {"picture 2"}]
    (problem,) = parts["val"].problems
    assert "1 of 2 pictures of val are in train as well (linked.png); they stay in train" in problem.message


def test_splits_are_joined_by_the_names_of_their_classes(make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL, ALL)
    other = Vocabulary(("dog", "cat", "cow"), (5, 7, 9))
    rows = [replace(e, annotation=e.annotation.with_(object_classes=other)) for e in made]
    parts = of_one_vocabulary({"train": made, "val": replace(made, examples=tuple(rows), object_classes=other)})
    assert parts["train"].object_classes == parts["val"].object_classes
    assert parts["train"].object_classes is not None
    assert parts["train"].object_classes.names == (*CLASSES, "cow")
    assert parts["train"][0].scene.names() == ["cat", "dog", "traffic light"]
    assert parts["val"][0].scene.names() == ["dog", "cat", "cow"]
    assert [p.kind for p in parts["val"].problems] == ["other classes"]


def test_tags_are_joined_by_name_too(make_dataset: MadeDataset) -> None:
    made = make_dataset([], [])
    lists = {"train": Vocabulary(("a", "b")), "val": Vocabulary(("b", "c"))}
    parts = {}
    for name, classes in lists.items():
        tagged = (
            replace(e, annotation=e.annotation.with_(tags=torch.tensor([1.0, 0]), tag_classes=classes)) for e in made
        )
        parts[name] = replace(made, examples=tuple(tagged), object_classes=None, tag_classes=classes)
    joined = of_one_vocabulary(parts)
    assert joined["train"].tag_classes == joined["val"].tag_classes == Vocabulary(("a", "b", "c"))
    assert [joined[name][0].annotation.tags.tolist() for name in lists] == [[1, 0, 0], [0, 1, 0]]


def test_a_split_by_chance_keeps_equal_pictures_together(make_dataset: MadeDataset, tmp_path: Path) -> None:
    made = make_dataset(*[ALL] * 12)
    examples = list(made)
    for i in range(6):  # every second one is a copy under another name
        copy = tmp_path / f"copy {i}.png"
        copy.write_bytes(made[i].path.read_bytes())
        examples[i + 6] = replace(made[i + 6], path=copy)
    for seed in range(5):
        parts = split(replace(made, examples=tuple(examples)), {"train": 0.5, "val": 0.5}, seed)
        contents = [{example.path.read_bytes() for example in part} for part in parts.values()]
        assert not contents[0] & contents[1]
        assert sum(map(len, parts.values())) == 12


def test_what_is_lost_is_counted(make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL, ALL)
    flags = torch.tensor([True, False, False])
    square = [[3.0, 5, 40, 5, 40, 40, 3, 40]]
    outlines = ({"size": [48, 64], "counts": [48 * 64]}, square, [square[0], [1.0, 1, 9, 1, 9, 9]])
    one = Example(made[0].path, made[0].annotation.with_(crowd=flags, captions=("a", "b")), outlines)
    two = replace(made[1], annotation=made[1].annotation.with_(difficult=flags))
    dataset = replace(made, examples=(one, two))
    assert what_is_lost([dataset], "voc") == [
        "voc has no place for 3 masks of objects, 2 captions; left out",
        "1 crowds are written as difficult, which evaluation leaves out alike",
    ]
    assert what_is_lost([dataset], "coco") == ["coco has no place for 1 objects marked as difficult; left out"]
    assert what_is_lost([dataset], "yolo") == [
        "yolo has no place for 1 objects marked as difficult, 2 captions; left out",
        "1 crowds are left out: yolo has no place for them",
        "1 outlines of several rings are written as one ring each",
    ]


def test_trainval_beside_its_parts_is_left_out_of_conversions(tmp_path: Path) -> None:
    for name in "abc":
        save_picture(tmp_path / "JPEGImages" / f"{name}.jpg", seed=ord(name))
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation></annotation>")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in (("train", "a\nb\n"), ("val", "c\n"), ("trainval", "a\nb\nc\n"), ("cat_train", "a  1\nb -1\n")):
        (lists / f"{name}.txt").write_text(stems)
    parts = open_splits(tmp_path)
    assert {name: names_of(part) for name, part in parts.items()} == {"train": {"a", "b"}, "val": {"c"}}
    assert len(open_dataset(tmp_path)) == 3
    assert len(open_dataset(tmp_path, "trainval")) == 3
    write_datasets(parts, tmp_path / "new", "coco")
    assert {name: len(part) for name, part in open_splits(tmp_path / "new").items()} == {"train": 2, "val": 1}
