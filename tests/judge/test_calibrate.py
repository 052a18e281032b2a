"""Calibration end to end, on a small model and pictures of which it is made to be right or wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import CLASSES, tiny_classifier, tiny_detector

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AllsightError, AnnotationError, ModelError, PictureError
from allsight.hub import Model
from allsight.judge.calibrate import Calibration, calibrate, rounded
from allsight.knowing.familiarity import features_to_measure, stacked
from allsight.knowing.knowledge import Knowledge
from allsight.metrics.calibration import Temperature, halves
from allsight.models.detection.dense import set_prior
from allsight.predict import Predictor, load
from allsight.predict.tiles import scene_of_tiles
from allsight.scene import Scene, Vocabulary

NAMES = Vocabulary(CLASSES)
BLACK, NOISE = 0, 1


def pixels(seed: int, kind: int = NOISE, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    numbers = np.random.default_rng(seed)
    return torch.from_numpy(numbers.integers(0, 256 if kind else 30, (3, *size), dtype=np.uint8))


def dataset(predictor: Predictor, seeds: range, split: str) -> Dataset:
    """Return noise in which half of what the model sees is declared to be there: what it is surer of, mostly."""
    examples = []
    for seed in seeds:
        picture = pixels(seed)
        said = predictor.scenes([picture])[0]
        assert said.scores is not None
        chance = torch.rand(len(said), generator=torch.Generator().manual_seed(seed))
        true = said.keep(said.scores.argsort().argsort() > len(said) * chance).with_(scores=None)
        examples.append(Example(Path(f"{seed}.png"), true, pixels=picture))
    return Dataset(tuple(examples), object_classes=NAMES, name="made", split=split)


@pytest.fixture(scope="module")
def detector() -> Predictor:
    return Predictor(tiny_detector())


@pytest.fixture(scope="module")
def found(detector: Predictor) -> Calibration:
    return calibrate(detector, dataset(detector, range(24), "train"), dataset(detector, range(100, 120), "val"))


@pytest.fixture
def model(found: Calibration) -> Model:
    made = tiny_detector()
    made.knowledge = found.knowledge
    return made


def test_what_is_found(found: Calibration) -> None:
    knowledge, figures = found.knowledge, found.figures
    assert knowledge.features == ("c5", "c4")
    assert knowledge.scores is not None
    assert knowledge.data == "made/val"
    assert figures["ECE calibrated"] < figures["ECE"]
    assert figures["wrong of what is vouched for"] < figures["wrong of what is shown"]
    assert 0 < figures["vouched for of that"] < 1
    assert figures["pictures marked"] <= 0.3
    assert len(found.judged) == len(found.looks) == 20
    assert rounded({"a": 0.12345, "b": float("nan")}) == {"a": 0.1235}


def test_no_picture_is_judged_by_what_was_fitted_on_it(found: Calibration) -> None:
    """Of ten pictures the limit that keeps 95% inside is the greatest distance: here, that of the other half."""
    assert found.knowledge.pictures is not None
    free = replace(found.knowledge.pictures, limit=1.0)
    raw = free.distance(stacked([look.vectors.picture for look in found.looks]))
    half = torch.from_numpy(halves(20))
    for scene, own, distance in zip(found.judged, half.tolist(), raw.tolist(), strict=True):
        assert scene.trust is not None
        assert scene.trust.distance == pytest.approx(distance / raw[half != own].max().item(), rel=1e-5)


def test_familiar_and_foreign_pictures(model: Model) -> None:
    predictor = Predictor(model, abstain=True)
    near, far = predictor.scenes([pixels(200), pixels(200, BLACK)])
    assert near.trust is not None
    assert far.trust is not None
    assert far.trust.distance is not None
    assert near.trust.distance is not None
    assert far.trust.distance > 1 > near.trust.distance * 0.8
    assert not far.trust.picture
    assert not far.trust.known.any()


def test_the_same_objects_are_shown_and_scores_keep_their_order(model: Model, detector: Predictor) -> None:
    predictor = Predictor(model, abstain=True)
    plain, judged = detector(pixels(7)), predictor(pixels(7))
    assert len(plain) == len(judged) > 0
    torch.testing.assert_close(plain.boxes, judged.boxes)
    assert plain.trust is None
    assert judged.scores is not None
    assert plain.scores is not None
    assert (judged.scores.diff() <= 0).all()
    assert not torch.allclose(judged.scores, plain.scores)


def test_a_threshold_that_is_given_is_one_of_calibrated_scores(model: Model) -> None:
    everything = Predictor(model, abstain=True, threshold=0.0)(pixels(7))
    assert everything.scores is not None
    some = Predictor(model, abstain=True, threshold=0.5)(pixels(7))
    assert some.scores is not None
    assert len(some) == int((everything.scores >= 0.5).sum())


def test_tiles_are_judged_too(model: Model) -> None:
    predictor = Predictor(model, abstain=True)
    picture = pixels(3, size=(100, 150))
    whole = predictor.scenes([picture])[0]
    joined = scene_of_tiles(predictor, picture, whole)
    assert joined.trust is not None
    assert whole.trust is not None
    assert len(joined.trust) == len(joined) > len(whole) / 2
    assert (joined.trust.picture, joined.trust.distance) == (whole.trust.picture, whole.trust.distance)


def test_a_saved_model_abstains(model: Model, tmp_path) -> None:
    model.save(tmp_path / "knowing")
    scene = load(tmp_path / "knowing", abstain=True)(pixels(1))
    assert scene.trust is not None
    assert load(tmp_path / "knowing")(pixels(1)).trust is None


def test_a_model_that_was_never_calibrated_says_what_to_run(tmp_path) -> None:
    tiny_detector().save(tmp_path / "plain")
    with pytest.raises(ModelError, match="run: allsight calibrate MODEL DATA"):
        load(tmp_path / "plain", abstain=True)


def test_no_objects_at_all(detector: Predictor) -> None:
    def empty(data: Dataset) -> Dataset:
        nothing = torch.zeros(0, dtype=torch.int64)
        annotations = (e.annotation.keep(nothing) for e in data)
        examples = tuple(Example(e.path, a, pixels=e.pixels) for e, a in zip(data, annotations, strict=True))
        return Dataset(examples, object_classes=NAMES, name="empty", split=data.split)

    some = [empty(dataset(detector, seeds, "val")) for seeds in (range(6), range(50, 56))]
    found = calibrate(detector, *some)
    assert found.knowledge.pictures is not None
    assert (found.knowledge.objects, found.knowledge.scores) == (None, None)
    assert found.figures["wrong of what is shown"] == 1
    model = tiny_detector()
    model.knowledge = found.knowledge
    trust = Predictor(model, abstain=True)(pixels(1)).trust
    assert trust is not None
    assert trust.distances is None


def test_silence_on_all_pictures(detector: Predictor) -> None:
    data = dataset(detector, range(6), "val")
    quiet = Predictor(tiny_detector())
    set_prior(quiet.system.heads["objects"].classification, 1e-9)
    found = calibrate(quiet, data, data)
    assert found.knowledge.scores is None
    assert np.isnan(found.figures["wrong of what is shown"])
    assert "ECE" not in rounded(found.figures)


@pytest.mark.parametrize("left", [0, 1])
def test_too_few_pictures(left: int, detector: Predictor) -> None:
    data = dataset(detector, range(3), "val")
    for parts in ((data.subset(range(left)), data), (data, data.subset(range(left)))):
        with pytest.raises(PictureError, match=f"made/val: has {left} pictures that can be read"):
            calibrate(detector, *parts)


def test_pictures_that_cannot_be_read_are_told(detector: Predictor, tmp_path) -> None:
    data = dataset(detector, range(4), "val")
    for example in data:
        Image.fromarray(example.picture().permute(1, 2, 0).numpy()).save(tmp_path / example.path)
    (tmp_path / "1.png").write_bytes(b"rubbish")
    on_disk = tuple(Example(tmp_path / e.path, e.annotation) for e in data)
    found = calibrate(detector, data, Dataset(on_disk, object_classes=NAMES, name="made"))
    assert len(found.looks) == 3
    assert len(found.failed) == 1
    assert "1.png" in found.failed[0]


def tagged(count: int, names: tuple[str, ...] = CLASSES, seed: int = 0) -> Dataset:
    examples = []
    for i in range(count):
        scene = Scene((48, 64), tags=torch.eye(len(names))[i % len(names)], tag_classes=Vocabulary(names))
        examples.append(Example(Path(f"{i}.png"), scene, pixels=pixels(seed + i)))
    return Dataset(tuple(examples), tag_classes=Vocabulary(names), name="tagged", split="val")


def test_a_classifier_gets_a_temperature() -> None:
    predictor = Predictor(tiny_classifier())
    found = calibrate(predictor, tagged(12), tagged(24, seed=50))
    assert isinstance(found.knowledge.tags, Temperature)
    assert found.knowledge.tags.value > 1  # it knows nothing and is sure of it
    assert found.knowledge.features == ("pooled",)
    assert found.figures["ECE calibrated"] < found.figures["ECE"]
    model = tiny_classifier()
    model.knowledge = found.knowledge
    scene = Predictor(model, abstain=True)(pixels(3))
    assert scene.trust is not None
    assert len(scene.trust) == 0
    assert not scene.trust.picture  # no class of three is more probable than not


def test_tags_that_the_model_has_never_heard_of() -> None:
    found = calibrate(Predictor(tiny_classifier()), tagged(4, ("one", "two")), tagged(4, ("one", "two")))
    assert found.knowledge.tags is None
    assert found.knowledge.pictures is not None


def test_tags_on_pictures_with_boxes(detector: Predictor) -> None:
    boxed = dataset(detector, range(4), "val")
    found = calibrate(Predictor(tiny_classifier()), boxed, boxed)
    assert found.knowledge.pictures is not None
    assert "ECE" not in found.figures


def test_a_system_without_features_is_calibrated_by_its_scores(detector: Predictor, monkeypatch) -> None:
    monkeypatch.setattr("allsight.judge.calibrate.features_to_measure", lambda system: (None, None))
    found = calibrate(detector, dataset(detector, range(8), "train"), dataset(detector, range(50, 58), "val"))
    assert found.knowledge.features == ()
    assert found.knowledge.scores is not None
    assert features_to_measure(None) == (None, None)
    nothing = tagged(4)
    with pytest.raises(AnnotationError, match="nothing of it can be calibrated"):
        calibrate(detector, nothing, nothing)
    assert issubclass(AnnotationError, AllsightError)


def test_knowledge_of_nothing_vouches_for_everything(detector: Predictor) -> None:
    model = tiny_detector()
    model.knowledge = Knowledge()
    scene = Predictor(model, abstain=True)(pixels(1))
    assert scene.trust is not None
    assert scene.trust.known.all()
