"""The doctor finds what is wrong, and nothing where nothing is."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from allsight.data.doctor import check
from allsight.data.formats.catalogue import open_dataset
from allsight.data.pictures.dataset import Dataset, Example
from allsight.scene import Scene, Vocabulary

from .conftest import CLASSES, save_picture

MadeDataset = Callable[..., Dataset]
ALL = [(0, 3, 5, 40, 40), (1, 3, 5, 40, 40), (2, 3, 5, 40, 40)]


def test_a_healthy_data_set(make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL, ALL, [])
    report = check({"train": made.subset([0]), "val": made.subset([1, 2])}, model_classes=CLASSES)
    assert report.problems == ()
    assert report.pictures == {"train": 1, "val": 2}
    assert report.objects == {"train": dict.fromkeys(CLASSES, 1), "val": dict.fromkeys(CLASSES, 1)}
    assert report.lines()[-1] == "nothing wrong was found"


def test_pictures_that_cannot_be_decoded_are_left_out(make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL, ALL, ALL)
    made[0].path.write_bytes(made[0].path.read_bytes()[:-30])
    made[1].path.unlink()
    report = check({"train": made})
    assert [example.name for example in report.datasets["train"]] == ["picture 2"]
    assert Counter((p.kind, p.severity) for p in report.problems) == {("unreadable picture", "dropped"): 2}


def test_duplicates_across_splits(make_dataset: MadeDataset, tmp_path: Path) -> None:
    made = make_dataset(ALL, ALL, ALL, ALL)
    copied, smaller = tmp_path / "copied.png", tmp_path / "smaller.jpg"
    copied.write_bytes(made[0].path.read_bytes())
    with Image.open(made[1].path) as image:
        image.resize((40, 30)).save(smaller, quality=80)
    other = (replace(made[0], path=copied), Example(smaller, made[1].annotation), made[3])
    report = check({"train": made.subset([0, 1, 2]), "val": replace(made, examples=other)})
    found = {Path(p.path).name: p.message for p in report.problems}
    assert set(found) == {"copied.png", "smaller.jpg"}
    assert "the same as" in found["copied.png"]
    assert "nearly the same as" in found["smaller.jpg"]
    assert {p.severity for p in report.problems} == {"warning"}


def test_plain_pictures_are_no_duplicates(tmp_path: Path) -> None:
    examples = []
    for i in range(2):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (64, 48), (i, 0, 0)).save(path)
        scene = Scene((48, 64), boxes=torch.tensor([[0.0, 0, 9, 9]]), labels=torch.tensor([0]))
        examples.append(Example(path, scene))
    whole = Dataset(tuple(examples), CLASSES)
    report = check({"train": whole.subset([0]), "val": whole.subset([1])})
    assert "duplicate across splits" not in {p.kind for p in report.problems}


def test_classes(make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL[:1], ALL)
    report = check({"train": made.subset([0]), "val": made.subset([1])}, model_classes=Vocabulary(("cat", "dog")))
    assert [(p.kind, p.severity) for p in report.problems] == [("absent class", "warning"), ("class mismatch", "fatal")]
    assert "dog, traffic light" in report.problems[0].message
    assert len(report.fatal) == 1
    nothing = check({"train": make_dataset([], [])})
    assert [(p.kind, p.severity) for p in nothing.problems] == [("empty", "fatal")]
    assert [p.kind for p in check({"train": make_dataset()}).problems] == ["empty"]


@pytest.mark.parametrize("other", [Vocabulary(("dog", "cat", "traffic light")), Vocabulary(("cat",))])
def test_splits_of_different_classes(other: Vocabulary, make_dataset: MadeDataset) -> None:
    made = make_dataset(ALL, [])
    report = check({"train": made.subset([0]), "val": replace(made.subset([1]), object_classes=other)})
    assert "class mismatch" in {p.kind for p in report.fatal}


def test_the_report_can_be_written_and_drawn(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "train" / "a.jpg")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]\n")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    lines = ["0 0.5 0.5 0 0.5", "0 nan 0.5 0.5 0.5", "0 0 0.5 0.5 0.5", "7 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5 0.5"]
    (tmp_path / "labels" / "train" / "a.txt").write_text("\n".join(lines))
    report = check({"train": open_dataset(tmp_path, "train")})
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert len(value["problems"]) == 4
    assert value["objects"] == {"train": {"cat": 2}}
    ((example, problems),) = report.worst()
    assert len(problems) == 4
    assert sorted(example.scene.boxes.tolist()) == [[-16, 12, 16, 36], [16, 12, 48, 36], [32, 12, 32, 36]]
    assert example.picture().shape == (3, 48, 64)
    assert len(report.lines(each=1)) == 1 + 2 * 4


def test_bccd(shared_data: Path) -> None:
    report = check({split: open_dataset(shared_data / "bccd", split) for split in ("train", "val")})
    assert Counter(p.kind for p in report.problems) == {"no area": 2}
    assert report.pictures == {"train": 205, "val": 87}
    assert {Path(example.path).stem for example, _ in report.worst()} == {"BloodImage_00338", "BloodImage_00343"}
