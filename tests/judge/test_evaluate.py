import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import CLASSES, tiny_classifier, tiny_detector

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import ModelError, PictureError
from allsight.judge.evaluate import Evaluation, evaluate
from allsight.judge.report import write_report
from allsight.judge.scores import scores
from allsight.predict import Predictor
from allsight.scene import Scene, Vocabulary

NAMES = Vocabulary(CLASSES)


def dataset(folder: Path, count: int = 5, *, tags: bool = False) -> Dataset:
    """Return noisy pictures of several sizes with one object or tag each."""
    examples = []
    for i in range(count):
        size = (40 + 10 * i, 60)
        path = folder / f"{i}.png"
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        label = torch.tensor([i % 3])
        if tags:
            scene = Scene(size, tags=torch.eye(3)[i % 3], tag_classes=NAMES, source=str(path))
        else:
            boxes = torch.tensor([[5.0, 5.0, 30.0, 35.0]])
            scene = Scene(size, boxes=boxes, labels=label, object_classes=NAMES, source=str(path))
        examples.append(Example(path, scene))
    return Dataset(
        tuple(examples), object_classes=None if tags else NAMES, tag_classes=NAMES if tags else None, name="made"
    )


@pytest.fixture(scope="module")
def detector() -> Predictor:
    return Predictor(tiny_detector(), precision="float32")


def test_predictions_are_raw_and_in_order(detector, tmp_path):
    data = dataset(tmp_path)
    evaluation = evaluate(detector, data)
    assert len(evaluation) == len(data)
    for example, truth, said in zip(data, evaluation.truths, evaluation.predictions, strict=True):
        assert truth is example.annotation
        assert said.size == truth.size
        (alone,) = detector.scenes([example.picture()])
        torch.testing.assert_close(said.boxes, alone.boxes)
        torch.testing.assert_close(said.scores, alone.scores)


def test_a_broken_picture_is_reported_and_left_out(detector, tmp_path):
    data = dataset(tmp_path)
    (tmp_path / "1.png").write_bytes(b"")
    evaluation = evaluate(detector, data)
    assert [Path(e.path).name for e in evaluation.examples] == ["0.png", "2.png", "3.png", "4.png"]
    assert len(evaluation.failed) == 1
    assert "1.png" in evaluation.failed[0]


def test_nothing_to_evaluate(detector, tmp_path):
    data = dataset(tmp_path)
    with pytest.raises(PictureError, match="no pictures"):
        evaluate(detector, data.subset([]))
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(PictureError, match="zero bytes"):
        evaluate(detector, data)


def test_a_model_is_not_scored_on_what_it_does_not_know(detector, tmp_path):
    with pytest.raises(ModelError, match="says nothing"):
        evaluate(detector, dataset(tmp_path, tags=True))
    stranger = Predictor(tiny_classifier(("one", "two")), precision="float32")
    with pytest.raises(ModelError, match="knows none of the tags"):
        evaluate(stranger, dataset(tmp_path, tags=True))


def same(scene: Scene) -> Scene:
    return scene


def perfect(truths: list[Scene]) -> Evaluation:
    """Return an evaluation of a model that is always right."""
    examples = tuple(Example(Path(t.source or "x"), t) for t in truths)
    said = tuple(t.with_(scores=torch.full((len(t),), 0.9)) if t.boxes is not None else t for t in truths)
    return Evaluation(examples, tuple(truths), said)


def test_scores_of_a_perfect_detector(tmp_path):
    truths = [e.annotation for e in dataset(tmp_path)]
    found = scores(perfect(truths), same)
    for name in ("AP", "AP50", "VOC mAP", "precision", "recall"):
        assert found.summary[name] == pytest.approx(1)
    assert found.worst(5) == []
    assert np.array_equal(np.diag(found.confusion), [2, 2, 1, 0])
    assert {name: figures["objects"] for name, figures in found.per_class.items()} == dict(
        zip(CLASSES, (2, 2, 1), strict=True)
    )


def test_the_worst_picture_is_named(tmp_path):
    evaluation = perfect([e.annotation for e in dataset(tmp_path)])
    said = list(evaluation.predictions)
    said[3] = said[3].with_(boxes=said[3].boxes + 30)
    found = scores(Evaluation(evaluation.examples, evaluation.truths, tuple(said)), same)
    assert found.worst(5) == [3]
    assert found.confusion[0, -1] == found.confusion[-1, 0] == 1  # missed there, and seen where nothing is


def test_confusion_counts_what_is_shown(tmp_path):
    evaluation = perfect([e.annotation for e in dataset(tmp_path)])
    found = scores(evaluation, lambda scene: scene.keep(torch.zeros(len(scene), dtype=torch.bool)))
    assert found.summary["AP"] == pytest.approx(1)
    assert found.summary["recall"] == 0
    assert np.isnan(found.summary["precision"])


def tagged(rows: list[list[float]], names: Vocabulary = NAMES) -> list[Scene]:
    return [Scene((4, 4), tags=torch.tensor(row), tag_classes=names, source=f"{i}") for i, row in enumerate(rows)]


def judge(truth: list[Scene], said: list[Scene]):
    examples = tuple(Example(Path(str(i)), t) for i, t in enumerate(truth))
    return scores(Evaluation(examples, tuple(truth), tuple(said)), same)


def test_scores_of_tags_by_hand():
    truth = tagged([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    said = tagged([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    found = judge(truth, said)
    assert found.summary["top-1"] == 0.5
    assert set(found.summary) == {"top-1", "ECE", "ECE calibrated"}
    assert found.reliance.risk.at(1.0) == 0.5
    assert found.confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert found.worst(5) == [3, 1]
    assert found.per_class[CLASSES[0]] == {"precision": 1.0, "recall": 0.5, "pictures": 2}


def test_a_model_of_other_classes_in_another_order():
    names = Vocabulary(("zebra", CLASSES[1], *"defg", CLASSES[0], CLASSES[2]))
    truth = tagged([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    said = tagged([[0, 0, 0, 0, 0, 0, 0.9, 0.1], [0.6, 0.4, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0.1, 0.9]], names)
    found = judge(truth, said)
    assert (found.summary["top-1"], found.summary["top-5"]) == (pytest.approx(2 / 3), pytest.approx(1))
    assert found.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_scores_of_several_tags_a_picture():
    from sklearn.metrics import average_precision_score

    truth = [[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]]
    said = np.random.default_rng(0).random((4, 3)).tolist()
    found = judge(tagged(truth), tagged(said))
    assert found.summary["mAP"] == pytest.approx(average_precision_score(truth, said, average="macro"))
    assert found.confusion is None
    assert len(found.worst(9)) == 4


@pytest.mark.parametrize("tags", [False, True])
def test_report_is_whole(tags, detector, tmp_path):
    data = dataset(tmp_path, tags=tags)
    predictor = Predictor(tiny_classifier(), precision="float32") if tags else detector
    evaluation = evaluate(predictor, data)
    out = tmp_path / "report"
    page = write_report(
        evaluation, scores(evaluation, predictor.shown), predictor.shown, out, model="<tiny>", data="made"
    ).read_text(encoding="utf-8")
    assert "&lt;tiny&gt; on made" in page
    assert page.count("<table>") == page.count("</table>") == 2
    assert "reliability.svg" in page
    figures = json.loads((out / "scores.json").read_text())
    assert sum(each["count"] for each in figures["reliance"]["raw"]) > 0
    assert set(figures["reliance"]["risk"]) == {"100%", "80%", "50%"}
    for part in page.split('src="')[1:]:
        assert (out / part.split('"')[0]).stat().st_size > 0
    with Image.open(out / "worst.jpg") as image:
        image.load()
