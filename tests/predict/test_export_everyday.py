"""`everyday` as one graph: tags, objects with their outlines and regions are the same in every runtime."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from same_answers import assert_same_objects, each_runtime, scenes_of_both, smooth

from allsight.hub import Model, Preprocessing, Spec
from allsight.metrics.instances import mask_overlaps
from allsight.predict import Predictor
from allsight.predict.graphs import outputs_like, write_onnx
from allsight.predict.predictor import narrow
from allsight.predict.runtimes import OnnxRuntime


@pytest.fixture(scope="module")
def model() -> Model:
    """A small one with random heads that see something nearly everywhere, and not the same."""
    names = {
        "classes": Spec("vocabulary", {"names": ["a", "b"]}),
        "region_classes": Spec("vocabulary", {"names": ["x", "y", "z"]}),
    }
    spec = Spec("everyday", {**names, "groups": {"a": "x"}, "channels": 16, "depth": 1, "width": 16})
    torch.manual_seed(0)
    system = spec.build().eval()
    head = system.heads["objects"]
    head.selection = replace(head.selection, score_threshold=0.0, most=12)
    head.outlined = 5
    boxes, regions = head.boxes, system.heads["regions"]
    for last in (boxes.classification.last, boxes.regression.last, head.masks, regions.decoder.last):
        for layer in (part for part in last.modules() if isinstance(part, torch.nn.Conv2d)):
            torch.nn.init.normal_(layer.weight, std=0.3)
    return Model(system, spec, Preprocessing(96), {"": 0.0}, name="tiny")


@pytest.fixture(scope="module")
def graph(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For pictures of any size."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("graphs") / "everyday.onnx"
    write_onnx(model, path)
    return path


@each_runtime
def test_all_heads_say_the_same_in_every_runtime(package: str, kind: type, model: Model, graph: Path) -> None:
    pytest.importorskip(package)
    for expected, found in scenes_of_both(model, kind(graph, outputs_like(model))):
        torch.testing.assert_close(found.tags, expected.tags, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.region_scores, expected.region_scores, atol=1e-3, rtol=0)
        assert (found.regions == expected.regions).float().mean() > 0.99
        assert_same_objects(found, expected)
        assert (found.panoptic == expected.panoptic).float().mean() > 0.98


@pytest.fixture(scope="module")
def narrowed(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """One that looks for a class alone, from the score of about its third object on, and its graph."""
    pytest.importorskip("onnxscript")
    one = replace(model, system=deepcopy(model.system))
    (seen,) = Predictor(one).scenes([smooth((96, 96))])
    scores = [score for score, name in zip(seen.scores.tolist(), seen.names(), strict=True) if name == "b"]
    one = replace(one, thresholds={"a": 1.1, "b": (scores[2] + scores[3]) / 2})
    narrow(one)
    path = tmp_path_factory.mktemp("graphs") / "narrowed.onnx"
    write_onnx(one, path)
    return one, path


@each_runtime
def test_narrowed_it_shows_the_same_in_every_runtime(
    package: str, kind: type, model: Model, narrowed: tuple[Model, Path]
) -> None:
    pytest.importorskip(package)
    one, path = narrowed
    whole, fast = (
        Predictor(replace(model, thresholds=one.thresholds)),
        Predictor(one, runtime=kind(path, outputs_like(one))),
    )
    masks = set()
    for size in [(96, 96), (64, 96), (128, 64)]:
        picture, frame = fast.prepare(smooth(size))
        masks.add(fast.runtime(picture[None]).heads["objects"].masks.shape[1])
        expected, found = (each.shown(each.parts(picture, frame)) for each in (whole, fast))
        assert found.names() == expected.names()
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-2, rtol=1e-4)
        strong = ~expected.weak if expected.weak is not None else torch.ones(len(expected), dtype=torch.bool)
        assert (mask_overlaps(found.masks[strong], expected.masks[strong]).diagonal() > 0.98).all()
    assert len(masks) > 1  # as many as there are wanted objects


def test_a_graph_has_masks_for_the_best_objects(model: Model, graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    outputs = OnnxRuntime(graph, outputs_like(model))(smooth((64, 96))[None]).heads["objects"]
    assert outputs.boxes.shape == (1, 12, 4)
    assert outputs.masks.shape == (1, 5, 28, 28)
    assert outputs.valid.dtype == torch.bool
