"""Objects of a scene one by one: counted, chosen, cut out, drawn, saved, in a table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import allsight.predict  # noqa: F401 - hands in what reads and draws
from allsight.draw import draw
from allsight.errors import AnnotationError, OutputError, PictureError
from allsight.machine.packages import install_command
from allsight.scene import Masks, Scene, Vocabulary, showing
from allsight.scene.table import COLUMNS, rows

NAMES = Vocabulary(("ant", "bee", "cow"))


@pytest.fixture
def scene() -> Scene:
    dense = torch.zeros(3, 20, 30, dtype=torch.bool)
    dense[0, 2:6, 3:9] = True
    dense[2, 10:20, 20:30] = True
    return Scene(
        (20, 30),
        boxes=torch.tensor([[3.0, 2, 9, 6], [0, 0, 30, 20], [20, 10, 30, 20]]),
        labels=torch.tensor([1, 0, 1]),
        scores=torch.tensor([0.9, 0.5, 0.25]),
        weak=torch.tensor([False, True, False]),
        masks=Masks.from_dense(dense),
        object_classes=NAMES,
    )


def pixels(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_count(scene: Scene) -> None:
    assert scene.count() == {"bee": 2}  # where a tag comes from is no object
    assert scene.with_(weak=None).count() == {"bee": 2, "ant": 1}
    assert scene.with_(object_classes=None, weak=None).count() == {"1": 2, "0": 1}
    assert Scene((2, 2)).count() == {}


def test_objects_one_by_one(scene: Scene) -> None:
    assert [item.name for item in scene] == ["bee", "ant", "bee"]
    assert [item.score for item in scene] == [pytest.approx(s) for s in (0.9, 0.5, 0.25)]
    assert [item.weak for item in scene] == [False, True, False]
    last = scene[-1]
    assert last.index == 2 and last.box == (20, 10, 30, 20)
    assert last.mask is not None and last.mask.shape == (20, 30) and int(last.mask.sum()) == 100
    assert "bee 0.25" in repr(last)
    drawn = Scene((20, 30), boxes=torch.zeros(1, 4))[0]
    assert (drawn.name, drawn.score, drawn.mask) == (None, None, None)
    for place in (3, -4):
        with pytest.raises(IndexError):
            scene[place]
    assert list(Scene((2, 2))) == []


def test_chosen_by_name_mask_and_places(scene: Scene) -> None:
    for which in ("bee", scene.scores != 0.5, torch.tensor([0, 2]), slice(0, None, 2)):
        part = scene[which]
        assert part.names() == ["bee", "bee"]
        assert torch.equal(part.boxes, scene.boxes[[0, 2]])
        assert torch.equal(part.masks.dense(), scene.masks.dense()[[0, 2]])
    assert len(scene["cow"]) == 0
    with pytest.raises(AnnotationError, match="no class is called 'dog'"):
        scene["dog"]
    with pytest.raises(AnnotationError, match="does not choose among 3"):
        scene[torch.tensor([True, False])]


def test_cut_out_with_a_margin(scene: Scene) -> None:
    picture = pixels()
    array = picture.permute(1, 2, 0).numpy()
    assert np.array_equal(np.asarray(scene[0].crop(picture, margin=0)), array[2:6, 3:9])
    assert np.array_equal(np.asarray(scene[0].crop(array, margin=0.5)), array[0:9, 0:12])
    assert scene[2].window(0.2) == (18, 8, 30, 20)
    nothing = Scene((20, 30), boxes=torch.tensor([[30.0, 20, 30, 20], [4, 4, 4, 4]]))
    assert [item.window(0) for item in nothing] == [(29, 19, 30, 20), (4, 4, 5, 5)]
    with pytest.raises(PictureError, match="without a source"):
        scene[0].crop()
    with pytest.raises(PictureError, match="scene's own picture"):
        scene[0].crop(torch.zeros(3, 9, 9, dtype=torch.uint8))


def test_drawn_and_saved(scene: Scene, tmp_path: Path) -> None:
    picture = pixels()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    image = scene.draw(picture)
    assert np.array_equal(np.asarray(image), draw(picture, scene).permute(1, 2, 0).numpy())
    known = scene.with_(source=str(tmp_path / "a.png"))
    assert np.array_equal(np.asarray(known.draw()), np.asarray(image))
    known.save(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(image))
    known.save(tmp_path / "b.json")
    assert Scene.from_json(json.loads((tmp_path / "b.json").read_text("utf-8"))).names() == scene.names()
    with pytest.raises(AnnotationError, match=r"\.json, or drawn as \.jpg"):
        known.save(tmp_path / "b.gif")


def test_without_what_reads_and_draws(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "_studio", None)
    with pytest.raises(PictureError, match=r"import allsight\.predict first"):
        scene.draw(pixels())


def test_rows(scene: Scene) -> None:
    found = rows(scene.to_json())
    assert [list(row) for row in found] == [list(COLUMNS)] * 3
    assert [row["pixels"] for row in found] == [24, None, 100]
    assert [row["located"] for row in found] == ["box", "activation", "box"]
    assert [found[0][key] for key in ("object", "label", "score", "x2")] == [1, "bee", 0.9, 9.0]
    assert rows(Scene((2, 2), boxes=torch.zeros(0, 4)).to_json()) == []


def test_a_table_of_pandas(scene: Scene) -> None:
    pandas = pytest.importorskip("pandas")
    table = scene.to_table()
    assert list(table.columns) == list(COLUMNS)
    assert table[table.label == "bee"].score.tolist() == [0.9, 0.25]
    assert table.pixels.sum() == 124 and pandas.isna(table.pixels[1])
    assert len(Scene((2, 2), boxes=torch.zeros(0, 4)).to_table()) == 0


def test_a_table_without_pandas(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(OutputError) as caught:
        scene.to_table()
    assert install_command("table") in str(caught.value)
