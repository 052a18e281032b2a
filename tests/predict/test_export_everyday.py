"""`everyday` as one graph: tags, objects with their outlines and regions are the same in every runtime."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from allsight.hub import Model, Preprocessing, Spec
from allsight.metrics.instances import mask_overlaps
from allsight.predict import Predictor
from allsight.predict.graphs import outputs_like, write_onnx
from allsight.predict.runtimes import OnnxRuntime, OpenVinoRuntime

RUNTIMES = [("onnxruntime", OnnxRuntime), ("openvino", OpenVinoRuntime)]
SIZES = [(64, 96), (96, 96), (128, 64)]


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


def picture(size: tuple[int, int]) -> Tensor:
    """Smooth blobs, so that no score hangs on rounding."""
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(sum(size)))
    return (torch.nn.functional.interpolate(noise, size, mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)[0]


@pytest.mark.parametrize(("package", "kind"), RUNTIMES)
def test_all_heads_say_the_same_in_every_runtime(package: str, kind: type, model: Model, graph: Path) -> None:
    pytest.importorskip(package)
    runtime = kind(graph, outputs_like(model))
    for size in SIZES:
        (expected,) = Predictor(model).scenes([picture(size)])
        (found,) = Predictor(model, runtime=runtime).scenes([picture(size)])
        torch.testing.assert_close(found.tags, expected.tags, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.region_scores, expected.region_scores, atol=1e-3, rtol=0)
        assert (found.regions == expected.regions).float().mean() > 0.99
        assert len(found) == len(expected) > 3
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
        # Boxes whose scores are equal to the last digit but one may change places.
        nearest = torch.cdist(expected.boxes, found.boxes).argmin(1)
        torch.testing.assert_close(found.boxes[nearest], expected.boxes, atol=1e-2, rtol=1e-4)
        same = mask_overlaps(found.masks[nearest], expected.masks).diagonal()
        solid = expected.masks.area().numpy() > 0
        assert (same[solid] > 0.98).all()
        assert solid.any()
        assert (found.panoptic == expected.panoptic).float().mean() > 0.98


def test_a_graph_has_masks_for_the_best_objects(model: Model, graph: Path) -> None:
    pytest.importorskip("onnxruntime")
    outputs = OnnxRuntime(graph, outputs_like(model))(picture((64, 96))[None]).heads["objects"]
    assert outputs.boxes.shape == (1, 12, 4)
    assert outputs.masks.shape == (1, 5, 28, 28)
    assert outputs.valid.dtype == torch.bool
