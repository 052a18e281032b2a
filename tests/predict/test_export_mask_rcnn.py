"""Mask R-CNN as one graph: other runtimes find the same objects with the same outlines."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from allsight.hub import Model, Preprocessing, Spec
from allsight.metrics.instances import mask_overlaps
from allsight.models.instances.mask_rcnn import MaskRCNNHead
from allsight.predict import Predictor
from allsight.predict.graphs import outputs_like, write_onnx
from allsight.predict.runtimes import OnnxRuntime, OpenVinoRuntime

RUNTIMES = [("onnxruntime", OnnxRuntime), ("openvino", OpenVinoRuntime)]
SIZES = [(64, 96), (96, 96), (128, 64)]


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
    return Model(system, spec, Preprocessing(96), name="tiny")


@pytest.fixture(scope="module")
def graph(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For pictures of any size."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("graphs") / "masks.onnx"
    write_onnx(model, path)
    return path


def picture(size: tuple[int, int]) -> Tensor:
    """Smooth blobs, so that no score hangs on rounding."""
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(sum(size)))
    return (torch.nn.functional.interpolate(noise, size, mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)[0]


@pytest.mark.parametrize(("package", "kind"), RUNTIMES)
def test_same_objects_and_outlines_in_every_runtime(package: str, kind: type, model: Model, graph: Path) -> None:
    pytest.importorskip(package)
    runtime = kind(graph, outputs_like(model))
    for size in SIZES:
        (expected,) = Predictor(model).scenes([picture(size)])
        (found,) = Predictor(model, runtime=runtime).scenes([picture(size)])
        assert len(found) == len(expected) > 3
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
        # Boxes whose scores are equal to the last digit but one may change places.
        nearest = torch.cdist(expected.boxes, found.boxes).argmin(1)
        torch.testing.assert_close(found.boxes[nearest], expected.boxes, atol=1e-2, rtol=1e-4)
        same = mask_overlaps(found.masks[nearest], expected.masks).diagonal()
        solid = expected.masks.area().numpy() > 0
        assert (same[solid] > 0.98).all()
        assert solid.any()


def test_a_graph_has_masks_for_as_many_objects_as_there_may_be(model: Model, graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    outputs = OnnxRuntime(graph, outputs_like(model))(picture((64, 96))[None]).heads["objects"]
    assert outputs.masks.shape == (1, 12, 28, 28)
    assert outputs.valid.dtype == torch.bool
