import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import tiny_detector

import allsight
from allsight.errors import PictureError
from allsight.hub import Display, Model
from allsight.predict import Predictor
from allsight.scene import Scene, Vocabulary


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_detector()


@pytest.fixture(scope="module")
def predictor(model: Model) -> Predictor:
    return Predictor(model, precision="float32")


def test_every_form_of_a_picture_gives_the_same(predictor, tmp_path):
    pixels = noise(50, 70)
    array = pixels.permute(1, 2, 0).numpy()
    path = tmp_path / "ein Bild ä.png"
    Image.fromarray(array).save(path)
    expected = predictor(pixels)
    assert len(expected) > 0
    for form in (path, str(path), path.read_bytes(), array, Image.fromarray(array)):
        scene = predictor(form)
        assert scene.size == (50, 70)
        torch.testing.assert_close(scene.boxes, expected.boxes)
    assert predictor(path).source == str(path)


def test_a_list_of_pictures_gives_a_list_of_scenes(predictor, tmp_path):
    Image.fromarray(noise(30, 40).permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    pictures = [noise(50, 70), tmp_path / "a.png", noise(20, 90, seed=3)]
    for several in (pictures, tuple(pictures)):
        scenes = predictor(several)
        assert isinstance(scenes, list)
        for scene, picture in zip(scenes, pictures, strict=True):
            torch.testing.assert_close(scene.boxes, predictor(picture).boxes)
    assert scenes[1].source == str(tmp_path / "a.png")
    assert predictor([]) == []
    with pytest.raises(PictureError, match="does not exist"):
        predictor([pictures[0], "nowhere.png"])


@pytest.mark.parametrize(
    "nonsense",
    [3, np.zeros((4, 4)), torch.zeros(3, 4, 4), np.zeros((4, 4, 3)), torch.zeros(4, 4, 3, dtype=torch.uint8)],
)
def test_what_is_no_picture_is_refused(predictor, nonsense):
    with pytest.raises(PictureError, match="not a picture"):
        predictor(nonsense)


def test_an_answer_does_not_depend_on_the_others(predictor):
    pictures = [
        noise(*size, seed=i) for i, size in enumerate([(60, 40), (40, 60), (60, 40), (10, 80), (60, 41), (1, 1)])
    ]
    together = predictor.scenes(pictures)
    for picture, scene in zip(pictures, together, strict=True):
        (alone,) = predictor.scenes([picture])
        assert scene.size == alone.size == tuple(picture.shape[1:])
        torch.testing.assert_close(scene.scores, alone.scores, atol=1e-5, rtol=0)
    assert predictor.scenes([]) == []


def test_display_thresholds_are_per_class(model):
    names = Vocabulary(("a", "b", "c"))
    scene = Scene(
        (9, 9),
        boxes=torch.zeros(4, 4),
        labels=torch.tensor([0, 1, 2, 2]),
        scores=torch.tensor([0.5, 0.5, 0.5, 0.1]),
        weak=torch.tensor([False, False, False, True]),
        object_classes=names,
    )
    model = Model(model.system, model.spec, model.inputs, Display({"a": 0.4, "": 0.6, "c": 0.5}))
    assert Predictor(model).shown(scene).labels.tolist() == [0, 2, 2]
    assert Predictor(model, threshold=0.9).shown(scene).labels.tolist() == [2]
    tags = Scene((9, 9), tags=torch.tensor([0.1]))
    assert Predictor(model).shown(tags) is tags


def test_load_from_the_package_and_show_in_a_notebook(model, tmp_path):
    saved = allsight.load(model.save(tmp_path / "model"))
    path = tmp_path / "a.png"
    Image.fromarray(noise(40, 40).permute(1, 2, 0).numpy()).save(path)
    png = saved(path)._repr_png_()
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
    path.unlink()
    assert saved(noise(4, 4))._repr_png_() is None
    assert Scene((4, 4), source=str(path))._repr_png_() is None


def test_narrowed_to_what_is_shown_it_shows_the_same(model, tmp_path):
    picture = noise(50, 70)
    (seen,) = Predictor(model).scenes([picture])
    least = seen.scores[seen.labels == 1][2].item() - 1e-4
    folder = replace(model, display=Display({"dog": least, "": 1.1})).save(tmp_path / "model", half=False)
    whole, narrowed = allsight.load(folder), allsight.load(folder, shown_only=True)
    shown = narrowed(picture)
    assert len(shown) >= 3
    assert shown.names() == ["dog"] * len(shown)
    torch.testing.assert_close(shown.boxes, whole(picture).boxes)
    torch.testing.assert_close(shown.scores, whole(picture).scores)
    assert set(narrowed.scenes([picture])[0].names()) == {"dog"}


def test_where_thresholds_are_given_nothing_is_left_out(model, tmp_path):
    folder = replace(model, display=Display({"": 1.1})).save(tmp_path / "model", half=False)
    given = allsight.load(folder, shown_only=True, threshold=0.1)
    assert len(set(given(noise(50, 70)).names())) > 1
