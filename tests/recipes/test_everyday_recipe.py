"""`everyday`: data sets on the same pictures, parts that the data teach, and boxes that stay as they were."""

from pathlib import Path

import pytest
import torch
from made_squares import SIZE, SMALL, squares

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.dataset import Dataset
from allsight.errors import ModelError
from allsight.predict import Predictor
from allsight.recipes.run import train
from allsight.recipes.whole.everyday import Everyday, build, read
from allsight.scene import Masks, Vocabulary
from allsight.weights.files import read_state

NAMES = Vocabulary(("wall-brick", "dark"))
SETTINGS = {**SMALL, "steps": 6}


def silent(line: str) -> None:
    pass


def annotated(dataset: Dataset) -> Dataset:
    """Squares with outlines and regions."""
    examples = []
    for example in dataset:
        scene = example.annotation
        mask = torch.zeros(1, *SIZE, dtype=torch.bool)
        x1, y1, x2, y2 = scene.boxes[0].long().tolist()
        mask[0, y1:y2, x1:x2] = True
        fields = {"masks": Masks.from_dense(mask), "regions": mask[0].long(), "region_classes": NAMES}
        examples.append(type(example)(example.path, scene.with_(**fields), pixels=example.pixels))
    return Dataset(tuple(examples), dataset.object_classes, region_classes=NAMES, name="squares")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The same pictures twice: with outlined objects, and with regions."""
    root = tmp_path_factory.mktemp("squares")
    parts = {"train": annotated(squares(6)), "val": annotated(squares(4, seed=1))}
    write_datasets(parts, root / "objects", "coco")
    write_datasets(parts, root / "regions", "regions")
    for split in parts:  # one copy of the pictures, as where several annotations lie beside them
        for picture in (root / "regions" / "images" / split).iterdir():
            picture.unlink()
            picture.symlink_to(next((root / "objects" / split).glob(f"{picture.stem}.*")))
    return root / "objects", root / "regions"


@pytest.fixture(scope="module")
def begun(data: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned boxes."""
    out = tmp_path_factory.mktemp("boxes") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLSIGHT_CACHE", str(out.parent / "cache"))
        train(Everyday(data=data[:1], parts=("tags", "objects"), **SETTINGS), out, say=silent)
    return out


def test_layers_are_read_as_one(data: tuple[Path, ...]) -> None:
    learned, held_out, _ = read(Everyday(data=data))
    assert (len(learned), len(held_out)) == (6, 4)
    assert learned.region_classes == held_out.region_classes
    assert learned.region_classes.names == ("wall", "dark")  # a group, and a name that is in none
    assert all(e.outlines is not None and e.label_map is not None for e in (*learned, *held_out))


def test_boxes_stay_as_they_were_and_the_rest_is_learned(
    data: tuple[Path, ...], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    scores = train(Everyday(data=data, begin=str(begun), **SETTINGS), tmp_path / "run", say=silent)
    assert {"AP50", "AP", "mask AP50", "mask AP", "mean IoU"} <= set(scores)
    before, after = (read_state(run / "model" / "model.safetensors") for run in (begun, tmp_path / "run"))
    boxes = [name for name in before if name.startswith("heads.objects.")]
    assert boxes
    for name in boxes:
        assert torch.equal(before[name], after[name.replace("objects.", "objects.boxes.")])
    assert not any(name.startswith(("trunk.", "heads.tags.")) for name in after)
    model = hub.load(tmp_path / "run")
    assert set(model.display.region_thresholds) == {"wall", "dark"}
    picture = squares(1, seed=1)[0].pixels
    (one,), (two,) = (Predictor(m).scenes([picture]) for m in (hub.load(begun), model))
    torch.testing.assert_close(one.boxes, two.boxes, atol=1e-3, rtol=1e-4)
    shown = Predictor(model).shown(two)
    for label, name in enumerate(shown.region_classes):
        sure = two.region_scores >= model.display.region_thresholds[name]
        assert torch.equal(shown.regions == label, (two.regions == label) & sure)


def test_what_the_data_do_not_teach_is_left_out(
    data: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    scores = train(Everyday(data=data[:1], **SETTINGS), tmp_path / "run", say=silent)
    assert "mask AP50" in scores
    assert "mean IoU" not in scores
    assert list(hub.load(tmp_path / "run").system.heads) == ["tags", "objects"]


def test_other_boxes_than_are_wanted_are_refused(data: tuple[Path, ...], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="boxes that are wanted"):
        build(Everyday(data=data, begin="cells"))
