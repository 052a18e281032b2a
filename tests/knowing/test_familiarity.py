"""Distances from what was learned: against a covariance written out, on made maps, and through a file."""

import json

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.errors import WeightsError
from allsight.knowing.familiarity import (
    Familiarity,
    features_to_measure,
    object_vectors,
    picture_vector,
    stacked,
)
from allsight.knowing.knowledge import Knowledge, Vectors
from allsight.metrics.calibration import Platt, Temperature
from allsight.models.classification.tags import classifier
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.models.detection.windows import windows
from allsight.models.whole.everyday import everyday
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("ant", "bee"))


def learned(count: int = 200, width: int = 24, seed: int = 0) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=numbers) @ torch.randn(width, width, generator=numbers) + 3


def fitted(vectors: torch.Tensor, limit: float = 1.0, feature: str = "c5") -> Familiarity:
    found = Familiarity.fit(vectors, feature)
    assert found is not None
    return Familiarity(found.feature, found.mean, found.axes, found.spread, found.rest, limit)


@settings(max_examples=20)
@given(st.integers(2, 80), st.integers(2, 30), st.integers(0, 1000))
def test_distance_is_mahalanobis_under_the_covariance_written_out(count: int, width: int, seed: int) -> None:
    vectors = learned(count, width, seed)
    found = fitted(vectors)
    inside = found.axes.double().T @ found.axes.double()
    kept = found.axes.double().T @ torch.diag(found.spread.double() ** -2) @ found.axes.double()
    precision = kept + (torch.eye(width, dtype=torch.float64) - inside) / found.rest**2
    centred = learned(9, width, seed + 1).double() - found.mean.double()
    expected = torch.einsum("nd,de,ne->n", centred, precision, centred).clamp_min(0).sqrt()
    torch.testing.assert_close(found.distance(centred.float() + found.mean).double(), expected, rtol=2e-2, atol=1e-2)


def test_with_all_axes_it_is_the_sample_covariance() -> None:
    vectors = learned(400, 6)
    found = fitted(vectors)
    other = learned(5, 6, seed=9)
    centred = (other - vectors.mean(0)).double()
    expected = torch.einsum("nd,de,ne->n", centred, vectors.T.double().cov().inverse(), centred).sqrt()
    assert len(found.axes) == 5
    torch.testing.assert_close(found.distance(other).double(), expected, rtol=0.01, atol=0)


def test_far_is_further_than_near_also_across_the_axes() -> None:
    vectors = learned(60, 300)
    found = fitted(vectors).limited(learned(40, 300, seed=0)[:20], 0.95)
    assert found is not None
    assert found.distance(vectors + 200).min() > 1 > found.distance(vectors.mean(0, keepdim=True)).max()


def test_limit_keeps_its_share_inside() -> None:
    held_out = learned(100, seed=5)
    found = fitted(learned()).limited(held_out, 0.95)
    assert found is not None
    assert (found.distance(held_out) <= 1 + 1e-6).float().mean() == pytest.approx(0.96, abs=0.011)
    assert fitted(learned()).limited(held_out[:0], 0.95) is None


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_learn_from(count: int) -> None:
    assert Familiarity.fit(torch.zeros(count, 4), "c5") is None


def test_pictures_that_are_all_alike() -> None:
    found = fitted(torch.ones(5, 4))
    assert found.distance(torch.ones(1, 4)).item() == 0
    assert found.distance(torch.zeros(1, 4)).isfinite().all()


def test_a_picture_is_measured_without_its_padding() -> None:
    frame = Frame.fit((480, 640), 64, 32)
    feature = torch.full((1, 3, 4, 4), 100.0)
    feature[:, :, :3] = 2.0
    assert frame.resized == (48, 64)
    assert picture_vector(feature, frame).tolist() == [2.0] * 3
    assert picture_vector(feature[:, :, 0, 0], frame).tolist() == [2.0] * 3


def test_objects_are_measured_where_they_lie() -> None:
    feature = torch.zeros(1, 1, 8, 8)
    feature[0, 0, 2:4, 4:8] = 1.0
    frame = Frame.fit((64, 64), 128, 32)  # twice as large in the model, 16 pixels a cell there, 8 in the picture
    boxes = torch.tensor([[36.0, 20, 60, 28], [0, 40, 30, 60], [36, 20, 36, 20]])
    found = object_vectors(feature, boxes, frame)[:, 0]
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, 1.0]))
    assert object_vectors(feature, boxes[:0], frame).shape == (0, 1)


def test_what_is_measured_of_each_system() -> None:
    trunk = {"trunk": efficientnet_lite0(weights=False), "classes": CLASSES}
    assert features_to_measure(retinanet_narrow(**trunk)) == ("c5", "c4")  # type: ignore[arg-type]
    assert features_to_measure(everyday(classes=CLASSES)) == ("head", "c4")
    with_pooled = classifier(trunk=efficientnet_lite0(weights=False), classes=CLASSES)
    assert features_to_measure(with_pooled) == ("pooled", None)
    assert features_to_measure(windows(trunk=efficientnet_lite0(weights=False), classes=CLASSES)) == (None, None)


def test_tables_are_stacked() -> None:
    table = stacked([torch.tensor([1.0, 2, 3]), None, torch.tensor([[4.0, 5, 6], [7, 8, 9]])])
    assert table.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert stacked([None]).shape == (0, 0)


KNOWLEDGE = Knowledge(
    fitted(learned(80, 320), 2.5),
    fitted(learned(80, 112), 1.5, "c4"),
    Platt(2.0, -1.0),
    Temperature(1.5),
    "made/val",
)
SCENE = Scene(
    (64, 64),
    boxes=torch.tensor([[0.0, 0, 9, 9]] * 3),
    labels=torch.zeros(3, dtype=torch.int64),
    scores=torch.tensor([0.9, 0.6, 0.9]),
    weak=torch.tensor([False, False, True]),
    object_classes=CLASSES,
)


def test_what_is_unlike_or_improbable_is_not_vouched_for() -> None:
    assert KNOWLEDGE.pictures is not None
    assert KNOWLEDGE.objects is not None
    near, far = KNOWLEDGE.pictures.mean, KNOWLEDGE.pictures.mean + 1e4
    objects = KNOWLEDGE.objects.mean.expand(3, -1)
    judged = KNOWLEDGE.judge(SCENE, Vectors(near, objects))
    assert judged.trust is not None
    assert judged.trust.picture
    assert judged.trust.known.tolist() == [True, False, True]  # 0.6 comes to less than a half
    assert judged.scores is not None
    assert judged.scores.tolist() == pytest.approx([0.9675, 0.4528, 0.9], abs=1e-3)
    strange = torch.cat([objects[:2], objects[2:] + 1e4])
    trust = KNOWLEDGE.judge(SCENE, Vectors(near, strange)).trust
    assert trust is not None
    assert trust.known.tolist() == [True, False, False]
    assert trust.distances is not None
    assert trust.distances[2] > 1
    trust = KNOWLEDGE.judge(SCENE, Vectors(far, objects)).trust
    assert trust is not None
    assert not trust.picture
    assert trust.objects.tolist() == [True, False, True]
    assert not trust.known.any()


def test_a_tag_that_is_improbable_is_not_vouched_for() -> None:
    knowledge = Knowledge(tags=Temperature(3.0))
    for tags, known in (([0.9, 0.1], True), ([0.5, 0.3, 0.2], False)):
        names = Vocabulary(tuple("abc"[: len(tags)]))
        judged = knowledge.judge(Scene((4, 4), tags=torch.tensor(tags), tag_classes=names), Vectors(None, None))
        assert judged.trust is not None
        assert (judged.trust.picture, judged.trust.distance) == (known, None)
        assert judged.tags is not None
        assert judged.tags.sum() == pytest.approx(1)


def test_display_thresholds_move_with_the_scores() -> None:
    assert KNOWLEDGE.threshold(1.1) == 1.1
    assert KNOWLEDGE.threshold(0.6) == pytest.approx(0.4528, abs=1e-3)
    assert Knowledge().threshold(0.6) == 0.6


@pytest.fixture(scope="module")
def system() -> object:
    return retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES)


def test_knowledge_comes_back_from_a_small_file(tmp_path, system) -> None:
    path = tmp_path / "knowledge.safetensors"
    KNOWLEDGE.write(path)
    assert path.stat().st_size < 40_000
    found = Knowledge.read(path, system)
    assert (found.scores, found.tags, found.data) == (KNOWLEDGE.scores, KNOWLEDGE.tags, KNOWLEDGE.data)
    assert found.features == ("c5", "c4")
    for ours, theirs in ((KNOWLEDGE.pictures, found.pictures), (KNOWLEDGE.objects, found.objects)):
        assert ours is not None
        assert theirs is not None
        vectors = learned(7, len(ours.mean), seed=3)
        torch.testing.assert_close(theirs.distance(vectors), ours.distance(vectors), rtol=0, atol=0)
    Knowledge(scores=Platt(1.0, 0.0)).write(path)
    assert Knowledge.read(path, system).pictures is None


def header(path, change) -> None:
    """Write the file with another header."""
    with safetensors.safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()["knowledge"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(numbers)
    path.write_bytes(safetensors.torch.save(tensors, {"knowledge": json.dumps(numbers)}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 40),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(safetensors.torch.save({})),
        lambda path: path.write_bytes(safetensors.torch.save({}, {"knowledge": "{"})),
        lambda path: path.write_bytes(safetensors.torch.save({}, {"knowledge": "[1]"})),
        lambda path: header(path, lambda numbers: numbers["pictures"].update(limit=float("nan"))),
        lambda path: header(path, lambda numbers: numbers["pictures"].update(rest=0.0)),
        lambda path: header(path, lambda numbers: numbers["pictures"].pop("feature")),
        lambda path: header(path, lambda numbers: numbers["scores"].update(scale=-1.0)),
        lambda path: header(path, lambda numbers: numbers["scores"].update(kind="os.system")),
        lambda path: header(path, lambda numbers: numbers["tags"].update(value=0)),
        lambda path: header(path, lambda numbers: numbers.pop("data")),
    ],
)
def test_damaged_knowledge_is_refused_in_one_line(damage, tmp_path, system) -> None:
    path = tmp_path / "knowledge.safetensors"
    KNOWLEDGE.write(path)
    damage(path)
    with pytest.raises(WeightsError, match="is damaged") as caught:
        Knowledge.read(path, system)
    assert "\n" not in str(caught.value)
    assert "allsight calibrate" in str(caught.value)


def test_knowledge_of_another_model_is_refused(tmp_path, system) -> None:
    path = tmp_path / "knowledge.safetensors"
    Knowledge(pictures=fitted(learned(30, 96))).write(path)
    with pytest.raises(WeightsError, match="96 channels of c5, of which the model has 320"):
        Knowledge.read(path, system)
    Knowledge(pictures=fitted(learned(30, 96), feature="head")).write(path)
    with pytest.raises(WeightsError, match="of which the model has none"):
        Knowledge.read(path, system)
