"""Pascal VOC is read whoever wrote it, and one bad record never spoils the rest."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from allsight.data.formats.voc import read_voc, voc_splits
from allsight.data.formats.voc_write import write_voc
from allsight.data.pictures.dataset import Dataset
from allsight.errors import AnnotationError

from ..conftest import save_picture

BOX = "<object><name>{}</name><difficult>{}</difficult><bndbox>{}</bndbox></object>"


def voc_object(name: str, corners: tuple[object, ...], difficult: int = 0) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    return BOX.format(name, difficult, "".join(f"<{t}>{v}</{t}>" for t, v in tags))


def write(root: Path, stem: str, objects: str, size: tuple[int, int] = (64, 48), extra: str = "") -> None:
    save_picture(root / "JPEGImages" / f"{stem}.jpg")
    (root / "Annotations").mkdir(exist_ok=True)
    said = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    text = f"<annotation><filename>{stem}.jpg</filename>{extra}{said}{objects}</annotation>"
    (root / "Annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")


def test_a_folder_by_hand(tmp_path: Path) -> None:
    write(tmp_path, "one", voc_object("dog", (1, 2, 11, 22)) + voc_object("cat", (0, 0, 64, 48), 1))
    write(tmp_path, "zwei ü", "")
    dataset = read_voc(tmp_path)
    assert voc_splits(tmp_path) == [""]
    assert dataset.object_classes is not None
    assert dataset.object_classes.names == ("cat", "dog")
    assert dataset[0].scene.boxes is not None
    assert dataset[0].scene.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 64, 48]]
    assert dataset[0].scene.labels.tolist() == [1, 0]
    assert dataset[0].scene.difficult.tolist() == [False, True]
    assert dataset[0].scene.size == (48, 64)
    assert len(dataset[1].scene.boxes) == 0  # annotated, nothing there
    assert dataset[0].picture().shape == (3, 48, 64)
    assert not dataset.problems


def test_convention_the_original_challenge_counts_from_one(tmp_path: Path) -> None:
    source = "<source><database>The VOC2007 Database</database></source>"
    write(tmp_path, "one", voc_object("dog", (1, 1, 64, 48)), extra=source)
    assert read_voc(tmp_path)[0].scene.boxes.tolist() == [[0, 0, 64, 48]]


def test_bad_boxes(tmp_path: Path) -> None:
    corners = {
        "not a number": [("nan", 1, 5, 5), (1, 2, "inf", 5), (1, 2, 3), ("x", 1, 2, 3)],
        "no area": [(5, 5, 5, 5), (5, 5, 9, 5)],
        "outside": [(70, 5, 80, 9), (-9, -9, -1, -1), (-5, 10, 20, 90)],
        "swapped corners": [(20, 10, 5, 30)],
    }
    objects = [voc_object("cat", each) for cases in corners.values() for each in cases]
    write(tmp_path, "one", "".join(objects) + voc_object("cat", (1, 1, 9, 9)) + voc_object("cat", (0, 0, 64.7, 48)))
    dataset = read_voc(tmp_path)
    boxes = dataset[0].scene.boxes.tolist()
    assert boxes == [[0, 10, 20, 48], [5, 10, 20, 30], [1, 1, 9, 9], [0, 0, 64, 48]]
    assert Counter(p.kind for p in dataset.problems) == {kind: len(cases) for kind, cases in corners.items()}
    assert Counter(p.severity for p in dataset.problems) == {"dropped": 8, "warning": 2}
    for problem in dataset.problems:
        assert problem.path.endswith("one.xml")
        assert problem.picture is not None
        assert "\n" not in str(problem)


def test_bad_examples(tmp_path: Path) -> None:
    good = voc_object("cat", (1, 1, 9, 9))
    for stem in ("good", "missing", "empty", "other size", "turned", "broken", "binary"):
        write(tmp_path, stem, good, size={"other size": (32, 24), "turned": (48, 64)}.get(stem, (64, 48)))
    (tmp_path / "JPEGImages" / "missing.jpg").unlink()
    (tmp_path / "JPEGImages" / "empty.jpg").write_bytes(b"")
    (tmp_path / "Annotations" / "broken.xml").write_text("<annotation><object>")
    (tmp_path / "Annotations" / "binary.xml").write_bytes(bytes(range(256)))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    names = ["good", "missing", "empty", "other size", "turned", "broken", "binary", "unwritten"]
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names))
    dataset = read_voc(tmp_path, "train")
    assert [example.name for example in dataset] == ["good"]
    assert Counter(p.kind for p in dataset.problems) == {
        "missing picture": 1,
        "unreadable picture": 1,
        "wrong size": 2,
        "broken annotation": 2,
        "missing annotation": 1,
    }
    assert any("EXIF" in p.message for p in dataset.problems)


def test_classes_that_the_list_does_not_have(tmp_path: Path) -> None:
    write(tmp_path, "one", voc_object("cat", (1, 1, 9, 9)) + voc_object("unicorn", (1, 1, 9, 9)))
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    dataset = read_voc(tmp_path)
    assert dataset[0].scene.names() == ["cat"]
    assert [p.kind for p in dataset.problems] == ["unknown class"]
    assert "unicorn" in str(dataset.problems[0])


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no XML files"):
        read_voc(tmp_path)
    write(tmp_path, "one", "")
    with pytest.raises(AnnotationError, match="train"):
        read_voc(tmp_path, "train")


def test_crowds_become_difficult(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    from dataclasses import replace

    dataset = make_dataset([(0, 1, 1, 9, 9), (1, 2, 2, 8, 8)])
    scene = dataset[0].annotation.with_(crowd=torch.tensor([False, True]))
    write_voc(replace(dataset, examples=(replace(dataset[0], annotation=scene),)), tmp_path / "voc")
    assert read_voc(tmp_path / "voc", "train")[0].scene.difficult.tolist() == [False, True]


def test_bccd(shared_data: Path) -> None:
    """The whole set has two boxes without area, both of them in the part at hand."""
    train, val = (read_voc(shared_data / "bccd", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (205, 87)
    assert train.object_classes == val.object_classes
    assert train.object_classes is not None
    assert train.object_classes.names == ("Platelets", "RBC", "WBC")
    problems = [*train.problems, *val.problems]
    assert sorted(Path(p.path).stem for p in problems) == ["BloodImage_00338", "BloodImage_00343"]
    assert {p.kind for p in problems} == {"no area"}
    written = sum(f.read_text().count("<object>") for f in (shared_data / "bccd" / "Annotations").glob("*.xml"))
    assert sum(len(e.scene) for d in (train, val) for e in d) == written - 2
