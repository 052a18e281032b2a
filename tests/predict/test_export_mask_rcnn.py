"""Mask R-CNN as one graph: other runtimes find the same objects with the same outlines."""

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
from allsight.hub import Model, Spec
from allsight.models.instances.mask_rcnn import MaskRCNNHead
from allsight.predict.graphs import outputs_like, write_onnx
from allsight.predict.runtimes import OnnxRuntime


@pytest.fixture(scope="module")
def model() -> Model:
    """A small one with random weights that sees something nearly everywhere, and not the same."""
    parts = {
        "trunk": Spec("efficientnet_lite0", {"weights": False}),
        "classes": Spec("vocabulary", {"names": ["a", "b"]}),
    }
    spec = Spec("mask_rcnn_narrow", {**parts, "channels": 16, "hidden": 32, "proposed": 40, "most": 12})
    torch.manual_seed(0)
    system = spec.build().eval()
    head = system.heads["objects"]
    assert isinstance(head, MaskRCNNHead)
    for layer in (head.regions.classification, head.regions.regression, head.masks.last):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return Model(system, spec, PictureInputs(96), name="tiny")


@pytest.fixture(scope="module")
def graph(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For pictures of any size."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("graphs") / "masks.onnx"
    write_onnx(model, path)
    return path


@each_runtime
def test_same_objects_and_outlines_in_every_runtime(package: str, kind: type, model: Model, graph: Path) -> None:
    pytest.importorskip(package)
    for expected, found in scenes_of_both(model, kind(graph, outputs_like(model))):
        assert_same_objects(found, expected)


def test_a_graph_has_masks_for_as_many_objects_as_there_may_be(model: Model, graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    outputs = OnnxRuntime(graph, outputs_like(model))(smooth((64, 96))[None]).heads["objects"]
    assert outputs.masks.shape == (1, 12, 28, 28)
    assert outputs.valid.dtype == torch.bool


@each_runtime
def test_narrowed_it_shows_the_same_in_every_runtime(
    package: str, kind: type, model: Model, narrowed: tuple[Model, Path]
) -> None:
    pytest.importorskip(package)
    one, path = narrowed
    assert_shows_the_same(model, one, kind(path, outputs_like(one)))
