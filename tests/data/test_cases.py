"""Every folder of ../shared/cases gets its expected answer; one expectation a folder, each skipped where it is absent.

What these folders stand for is tested with files made by the tests in the other modules.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from allsight.cli.main import main
from allsight.data.formats.catalogue import detect_format, open_dataset, open_splits

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
OUT = "out"


class Case:
    """A copy of a case's folder, in which commands are called."""

    def __init__(self, folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.source = CASES / name
        self._capsys = capsys
        self.code = 0
        self.said = ""

    def call(self, *words: str, code: int = 0) -> str:
        """Call a command; return all that it says, its line breaks read as spaces."""
        self._capsys.readouterr()
        self.code = main(list(words))
        captured = self._capsys.readouterr()
        self.said = captured.err + captured.out
        assert self.code == code, self.said
        assert "Traceback" not in self.said
        return self.said

    def check(self, code: int = 0, data: str = "data") -> str:
        """Call `allsight check`."""
        return self.call("check", data, code=code)

    def coco(self) -> dict[str, list[tuple[str, list[float]]]]:
        """Convert to COCO and return the names and boxes (x, y, w, h) of every picture that was written."""
        self.call("convert", "data", OUT, "--to", "coco")
        found: dict[str, list[tuple[str, list[float]]]] = {}
        for file in sorted((self.folder / OUT / "annotations").glob("instances_*.json")):
            value = json.loads(file.read_text())
            names = {each["id"]: each["name"] for each in value["categories"]}
            for picture in value["images"]:
                own = [a for a in value["annotations"] if a["image_id"] == picture["id"]]
                found[picture["file_name"]] = [(names[a["category_id"]], a["bbox"]) for a in own]
        return found


EXPECTATIONS: dict[str, Callable[[Case], None]] = {}
PENDING: dict[str, str] = {}  # what other parts of the package owe
MINUTES = "82-onnx-odd-sides"  # exports a graph


def expect(name: str, pending: str = "") -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    def keep(function: Callable[[Case], None]) -> Callable[[Case], None]:
        EXPECTATIONS[name] = function
        if pending:
            PENDING[name] = pending
        return function

    return keep


def counts(text: str) -> dict[str, tuple[int, dict[str, str]]]:
    """Return what the lines of `check` say of every split: pictures, and classes with their counts."""
    found = {}
    for split, pictures, rest in re.findall(r"^(\S+): (\d+) pictures; (.*)$", text, re.MULTILINE):
        found[split] = (int(pictures), dict(re.findall(r"([^,]+?) ([\d.]+%?)(?:, |$)", rest)))
    return found


# forms


@expect("01-roboflow-voc")
def _(case: Case) -> None:
    two = (2, {"cat": "2", "dog": "2"})
    assert counts(case.check()) == {"test": two, "train": (4, {"cat": "4", "dog": "4"}), "valid": two}
    assert detect_format("data") == "voc"


@expect("02-labelimg-yolo")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (4, {"cat": "2", "dog": "2"})}
    assert detect_format("data") == "yolo"


@expect("04-images-masks")
def _(case: Case) -> None:
    ((pictures, classes),) = counts(case.check()).values()
    assert (pictures, list(classes)) == (4, ["background", "object"])
    assert "0 is read as background and 255 as object" in case.said
    example = open_dataset("data")[0]
    assert set(example.scene.regions.unique().tolist()) == {0, 1}


@expect("05-labelme-flat")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (3, {"cat": "3"})}
    scene = open_dataset("data")[0].scene
    assert scene.boxes.tolist() == [[5, 5, 30, 30]]
    assert scene.masks is not None


@expect("06-label-studio-yolo")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (3, {"cat": "2", "dog": "1"})}


@expect("60-folder-split-with-loose-pictures")
def _(case: Case) -> None:
    said = case.check(code=2)
    assert "train.csv" in said
    assert "folder of its own" in said


# YOLO

BOX = pytest.approx([25.6, 14.4, 19.2, 14.4], abs=1e-4)


@expect("07-yolo-pose")
def _(case: Case) -> None:
    assert case.coco() == {f"{name}.jpg": [("cat", BOX)] for name in ("p0", "p1", "v0", "v1")}
    points = open_dataset("data", "train")[0].scene.keypoints
    assert points[0, :, :2].flatten().tolist() == pytest.approx([28.8, 16.8, 41.6, 16.8, 41.6, 26.4, 28.8, 26.4])


@expect("08-yolo-track")
def _(case: Case) -> None:
    found = case.coco()
    assert found == {f"{n}.jpg": [("dog" if n[1] == "1" else "cat", BOX)] for n in ("p0", "p1", "v0", "v1")}
    assert "only the boxes are read" in case.said


@expect("09-yolo-bom")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (2, {"cat": "2"}), "val": (2, {"cat": "2"})}


@expect("11-roboflow-yaml")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (3, {"cat": "3"}), "val": (2, {"cat": "2"})}


@expect("12-roboflow-yaml-stranger")
def _(case: Case) -> None:
    assert counts(case.check(data="all/mine")) == {"train": (3, {"cat": "3"}), "val": (2, {"cat": "2"})}
    assert all(example.name.startswith("mine") for example in open_dataset("all/mine"))


@expect("13-yaml-missing-test")
def _(case: Case) -> None:
    assert set(counts(case.check())) == {"train", "val"}
    assert "its test pictures 'images/test' are not there" in case.said


@expect("14-yolo-classes-txt-in-labels")
def _(case: Case) -> None:
    assert "classes.txt" not in case.check()
    assert "nothing wrong was found" in case.said


@expect("15-yolo-val-labels-elsewhere")
def _(case: Case) -> None:
    assert "no picture of val has a label file" in case.check()


@expect("16-yolo-upper-txt")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (4, {"cat": "4"}), "val": (4, {"cat": "4"})}


@expect("19-yolo-dup-lines")
def _(case: Case) -> None:
    assert "stands there twice" in case.check()


@expect("20-yolo-fraction-class")
def _(case: Case) -> None:
    assert "line 1 has the class 1.7, which is no whole number" in case.check()
    assert counts(case.said)["train"] == (3, {"cat": "1", "dog": "1"})


@expect("53-yolo-names-yes-no")
def _(case: Case) -> None:
    assert counts(case.check())["train"] == (3, {"no": "1", "yes": "1", "007": "1"})


# entries


@expect("21-coco-dup-image-ids")
def _(case: Case) -> None:
    said = case.check(code=1)
    assert "the image id 1 stands for a.jpg and c.jpg" in said
    assert "the image id 2 stands for b.jpg and d.jpg" in said


@expect("22-coco-mixed-outlines")
def _(case: Case) -> None:
    assert [len(boxes) for boxes in case.coco().values()] == [3, 1]
    assert "1 of 3 objects of a.jpg have no outline" in case.said


@expect("23-coco-to-yolo-two-rings")
def _(case: Case) -> None:
    case.call("convert", "data", OUT, "--to", "yolo")
    old, new = open_dataset("data"), open_dataset(OUT)
    for before, after in zip(old, new, strict=True):
        assert torch.equal(before.scene.masks.area() > 0, after.scene.masks.area() > 0)
        # A line there and back between two rings covers no more than the pixels that it touches.
        assert (before.scene.masks.dense() ^ after.scene.masks.dense()).sum() <= 24
    assert "1 outlines of several rings are written as one ring each" in case.said


@expect("24-coco-iscrowd-text")
def _(case: Case) -> None:
    case.coco()
    written = json.loads((case.folder / OUT / "annotations" / "instances_train.json").read_text())
    assert [a["iscrowd"] for a in written["annotations"]] == [0, 0]


@expect("28-coco-area-null")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (2, {"cat": "1", "dog": "1"})}


@expect("29-coco-dup-category")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (2, {"cells": "2"})}


@expect("30-labelstudio-backslash")
def _(case: Case) -> None:
    assert counts(case.check()) == {"result": (2, {"cat": "2"})}


@expect("31-labelstudio-urlcoded")
def _(case: Case) -> None:
    assert counts(case.check()) == {"result": (2, {"cat": "2"})}


@expect("39-macos-files")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (2, {"cat": "1", "dog": "1"})}
    assert "nothing wrong was found" in case.said


@expect("40-voc-filename-of-another")
def _(case: Case) -> None:
    assert {name: [n for n, _ in boxes] for name, boxes in case.coco().items()} == {
        "p1.jpg": ["cat"],
        "p2.jpg": ["dog"],
    }
    assert "says it belongs to p1.jpg" in case.said


@expect("41-voc-upper-xml")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (2, {"cat": "2"})}


@expect("42-voc-subfolders")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (3, {"cat": "3"})}


@expect("43-voc-list-underscore")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train_set": (3, {"cat": "3"}), "val_set": (1, {"cat": "1"})}


@expect("51-coco-file-listed-twice")
def _(case: Case) -> None:
    assert counts(case.check()) == {"train": (2, {"cat": "2", "dog": "1"})}
    assert "a.jpg is listed more than once" in case.said


@expect("61-voc-crowd-message")
def _(case: Case) -> None:
    assert "1 crowds are written as difficult" in case.call("convert", "data", OUT, "--to", "voc")
    assert "left out" not in case.said.replace("leaves out alike", "")
    assert open_dataset(OUT)[0].scene.difficult.sum() == 1


# splits


@expect("25-coco-cats-reordered")
def _(case: Case) -> None:
    case.call("convert", "data", OUT, "--to", "yolo")
    assert [[e.scene.names() for e in part] for part in open_splits(OUT).values()] == [[["cat"]], [["dog"]]]
    assert "joined by their names" in case.said


@expect("26-coco-cats-reordered-split")
def _(case: Case) -> None:
    case.call("split", "data", "--out", OUT)
    assert {e.path.name: e.scene.names() for e in open_dataset(OUT)} == {"a.jpg": ["cat"], "v.jpg": ["dog"]}


@expect("27-coco-val-lacks-class")
def _(case: Case) -> None:
    assert counts(case.check())["val"] == (2, {"cat": "2", "dog": "0"})
    words = ("--epochs", "1", "--longest", "96", "--batch-size", "2")
    case.call("train", "retinanet", "data", "--out", "run", *words)


@expect("64-voc-trainval-to-yolo")
def _(case: Case) -> None:
    case.call("convert", "data", OUT, "--to", "yolo")
    old, new = open_splits("data"), open_splits(OUT)
    names = {split: {e.name for e in part} for split, part in new.items()}
    assert names == {split: {e.name for e in part} for split, part in old.items()}
    assert {split: len(own) for split, own in names.items()} == {"train": 4, "val": 2}
    assert "trainval is left out" in case.said


@expect("65-voc-trainval-split")
def _(case: Case) -> None:
    case.call("split", "data", "--out", OUT, "--fractions", "train=0.5", "val=0.5")
    names = [example.name for part in open_splits(OUT).values() for example in part]
    assert sorted(names) == sorted(set(names))
    assert len(names) == 6


# the doctor


@expect("47-mask-0-255")
def _(case: Case) -> None:
    assert "are 255 or ignored, which means not annotated, and no pixel is object" in case.check()


@expect("48-folders-macosx")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (4, {"cat": "2", "dog": "2"})}


@expect("56-class-name-typo")
def _(case: Case) -> None:
    assert "the classes 'Cat' and 'cat' differ by case" in case.check()


@expect("58-dark-16-bit")
def _(case: Case) -> None:
    assert "3 of 3 pictures of it are nearly black" in case.check()
    assert "no pixel is brighter than 16 of 255" in case.said


@expect("59-avif-dataset")
def _(case: Case) -> None:
    assert counts(case.check()) == {"all": (2, {"cat": "2"})}


@expect("74-see-skips-heic")
def _(case: Case) -> None:
    said = case.call("see", "data", "--model", "cells", "--out", OUT, code=0)  # what is called HEIC holds an AVIF here
    assert "IMG_0001.HEIC" in said
    assert "b.avif" in said


# what training and scores say

TRAIN = ("--epochs", "1", "--longest", "96", "--batch-size", "2")


@expect("62-pil-exif", pending="prediction")
def _(case: Case) -> None:
    from PIL import Image

    import allsight

    model = allsight.load("cells")
    for name in ("turned.jpg", "grey16.png", "rgba.png"):
        one, two = model(name), model(Image.open(name))
        assert one.size == two.size
        assert torch.equal(one.boxes, two.boxes)


@expect("63-resume-classes-renamed", pending="the identity of a run")
def _(case: Case) -> None:
    case.call("train", "retinanet", "data", "--out", "run", *TRAIN)
    for file in Path("data/Annotations").glob("*.xml"):
        file.write_text(file.read_text().replace(">cat<", ">zebra<"))
    said = case.call("train", "retinanet", "data", "--out", "run", *TRAIN, "--resume", code=2)
    assert "classes" in said


@expect("67-mixed-outlines-all", pending="the recipes of masks")
def _(case: Case) -> None:
    said = case.call("train", "mask_rcnn", "data", "--out", "run", *TRAIN, code=2)
    assert re.search(r"\d+ of \d+ (pictures|objects)", said)
    assert "has no outlines of objects" not in said


@expect("70-eval-missing-pictures", pending="scores")
def _(case: Case) -> None:
    assert re.search("3 of 6|3 pictures .*missing", case.call("eval", "cells", "data"))


@expect("71-eval-difficult", pending="scores")
def _(case: Case) -> None:
    assert "difficult" in case.call("eval", "cells", "data")


@expect("72-eval-class-case", pending="scores")
def _(case: Case) -> None:
    assert re.search("rbc.*RBC|RBC.*rbc", case.call("eval", "cells", "data"))


@expect("73-class-missing-in-val")
def _(case: Case) -> None:
    said = case.call("train", "retinanet", "data", "--out", "run", *TRAIN)
    assert "val has no example of dog" in said


@expect("80-resume-class-added", pending="the identity of a run")
def _(case: Case) -> None:
    case.call("train", "retinanet", "data", "--out", "run", *TRAIN)
    file = Path("data/data.yaml")
    file.write_text(re.sub(r"dog'?\]?", lambda m: m.group().replace("dog", "dog, cow"), file.read_text(), count=1))
    said = case.call("train", "retinanet", "data", "--out", "run", *TRAIN, "--resume", code=2)
    assert "cow" in said


@expect("82-onnx-odd-sides", pending="exported graphs")
def _(case: Case) -> None:
    ort = pytest.importorskip("onnxruntime")
    numpy = pytest.importorskip("numpy")
    case.call("export", "cells", "--format", "onnx", "--out", "cells.onnx")
    session = ort.InferenceSession("cells.onnx")
    odd = numpy.full((1, 3, 300, 400), 127, numpy.uint8)
    padded = numpy.full((1, 3, 320, 416), 127, numpy.uint8)
    try:
        answers = session.run(None, {"pictures": odd})
    except Exception:
        return  # refused by the graph
    assert all(a.shape == b.shape for a, b in zip(answers, session.run(None, {"pictures": padded}), strict=True))


@expect("84-see-375-nuclei", pending="tiles")
def _(case: Case) -> None:
    picture = CASES.parent / "data" / "nuclei" / "images" / "a102535b0e88.png"
    said = case.call("see", str(picture), "--model", "nuclei", "--out", OUT)
    assert "--tile" in said or "nuclei" in said.replace("--model nuclei", "").split("pictures in")[0]


# what broke it: one clear line, or the right result


@expect("broken-01-coco-polygon-segfault")
def _(case: Case) -> None:
    assert "cannot be drawn on its picture; only its box is kept" in case.check(data=".")


@expect("broken-02-yolo-outline-segfault")
def _(case: Case) -> None:
    said = case.call("convert", ".", "../OUT", "--to", "regions", code=2)
    assert "the outline in line 1 reaches too far beyond its picture" in said


@expect("broken-03-yaml-alias-bomb")
def _(case: Case) -> None:
    assert "data.yaml: is not valid YAML (line 2 refers to *a; write it out)" in case.check(2, ".")


@expect("broken-04-npz-label-without-classes")
def _(case: Case) -> None:
    assert "train.npz: has the label 1,099,511,627,776 and no classes" in case.check(2, ".")


@expect("broken-05-regions-ignore-huge")
def _(case: Case) -> None:
    assert "config.yaml" in case.check(2, ".")
    assert "the id 2147483648 is more than 65,535" in case.said


@expect("broken-06-regions-ignore-minus-one")
def _(case: Case) -> None:
    # -1 is taken for what it means: nothing. The map's own 77 is an id that no class has.
    assert "has ids that no class has (77)" in case.check(1, ".")


@expect("broken-07-yaml-date")
def _(case: Case) -> None:
    assert counts(case.check(data="."))["train"] == (1, {"2026-13-45": "1"})


@expect("broken-09-yaml-inf-id")
def _(case: Case) -> None:
    assert "data.yaml: `names` is no list of classes" in case.check(2, ".")


@expect("broken-10-voc-size-inf")
def _(case: Case) -> None:
    assert counts(case.check(data=".")) == {"all": (2, {"cat": "2"})}


@expect("broken-11-coco-long-name")
def _(case: Case) -> None:
    said = case.check(1, ".")
    assert "missing picture" in said
    assert "File name too long" in said


@expect("broken-13-coco-empty-picture-to-regions")
def _(case: Case) -> None:
    case.call("convert", ".", "../OUT", "--to", "regions")
    shares = {e.name: (e.scene.regions > 0).any().item() for e in open_dataset("../OUT")}
    assert shares == {"a": True, "b": False}


@expect("broken-14-coco-surrogate-name")
def _(case: Case) -> None:
    said = case.call("convert", ".", "../OUT", "--to", "coco", code=2)
    assert "instances_train.json: the class name 'c\\ud800' holds what is no text" in said
    assert not Path("../OUT").exists()


@expect("broken-15-npz-is-npy")
def _(case: Case) -> None:
    assert "train.npz: is not a readable .npz file" in case.check(2, ".")


@expect("broken-17-npz-zlib-error")
def _(case: Case) -> None:
    assert "train.npz: is not a readable .npz file" in case.check(2, ".")


@expect("broken-18-instances-classes-not-utf8")
def _(case: Case) -> None:
    assert "classes.txt: is not readable text" in case.check(2, ".")


@expect("broken-19-config-longest-text", pending="saved models")
def _(case: Case) -> None:
    import allsight
    from allsight.errors import AllsightError

    with pytest.raises(AllsightError, match="longest"):
        allsight.load(".")


@expect("broken-20-scene-json", pending="scenes")
def _(case: Case) -> None:
    from allsight.errors import AllsightError
    from allsight.scene import Scene

    with pytest.raises(AllsightError):
        Scene.from_json(json.loads(Path("scene.json").read_text()))


def parameters() -> list[object]:
    names = sorted(
        set(EXPECTATIONS) | {p.name for p in CASES.iterdir() if p.is_dir()} if CASES.is_dir() else EXPECTATIONS
    )
    marks = {name: [pytest.mark.xfail(reason=reason, strict=False)] for name, reason in PENDING.items()}
    return [pytest.param(name, marks=marks.get(name, [])) for name in names]


@pytest.mark.parametrize("name", parameters())
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if not (CASES / name).is_dir():
        pytest.skip("the cases (../shared/cases) are not here")
    folder = tmp_path / "case"
    shutil.copytree(CASES / name, folder, copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    monkeypatch.chdir(folder)
    EXPECTATIONS[name](Case(folder, name, capsys))
