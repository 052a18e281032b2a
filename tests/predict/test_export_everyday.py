"""`everyday` as one graph: tags, objects with their outlines and regions are the same in every runtime."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from same_answers import (
    assert_same_objects,
    assert_shows_the_same,
    each_runtime,
    scenes_of_both,
    smooth,
)

from allsight.data.inputs import PictureInputs
from allsight.hub import Display, Model, Spec
from allsight.predict.graphs import outputs_like, write_onnx
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
    return Model(system, spec, PictureInputs(96), Display({"": 0.0}), name="tiny")


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


@each_runtime
def test_narrowed_it_shows_the_same_in_every_runtime(
    package: str, kind: type, model: Model, narrowed: tuple[Model, Path]
) -> None:
    pytest.importorskip(package)
    one, path = narrowed
    assert_shows_the_same(model, one, kind(path, outputs_like(one)))


def test_a_graph_has_masks_for_the_best_objects(model: Model, graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    outputs = OnnxRuntime(graph, outputs_like(model))(smooth((64, 96))[None]).heads["objects"]
    assert outputs.boxes.shape == (1, 12, 4)
    assert outputs.masks.shape == (1, 5, 28, 28)
    assert outputs.valid.dtype == torch.bool
