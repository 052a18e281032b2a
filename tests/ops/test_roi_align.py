"""RoIAlign against a loop that follows the definition, ONNX Runtime and torchvision; gradients; torch.export."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from allsight.ops.roi_align import roi_align
from torchvision_reference import detection_models


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    rows, columns = plane.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return 0.0
    y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    down, along = y - top, x - left
    upper = plane[top, left] * (1 - along) + plane[top, right] * along
    lower = plane[bottom, left] * (1 - along) + plane[bottom, right] * along
    return float(upper * (1 - down) + lower * down)


def one_bin(plane: np.ndarray, low: tuple, side: tuple, sampling: int) -> float:
    counts = [sampling or max(math.ceil(length), 0) for length in side]
    total = sum(
        bilinear(plane, low[0] + (i + 0.5) * side[0] / counts[0], low[1] + (j + 0.5) * side[1] / counts[1])
        for i in range(counts[0])
        for j in range(counts[1])
    )
    return total / max(counts[0] * counts[1], 1)


def by_definition(features, boxes, batch_index, *, output=(7, 7), scale, sampling=2, aligned=True) -> Tensor:
    maps = features.double().numpy()
    pooled = np.zeros((len(boxes), maps.shape[1], *output))
    for k, (x1, y1, x2, y2) in enumerate(boxes.double().tolist()):
        shift = 0.5 if aligned else 0.0
        top, left = y1 * scale - shift, x1 * scale - shift
        sides = [y2 * scale - shift - top, x2 * scale - shift - left]
        sides = sides if aligned else [max(side, 1.0) for side in sides]
        bins = (sides[0] / output[0], sides[1] / output[1])
        for c in range(maps.shape[1]):
            for i in range(output[0]):
                for j in range(output[1]):
                    corner = (top + i * bins[0], left + j * bins[1])
                    pooled[k, c, i, j] = one_bin(maps[batch_index[k], c], corner, bins, sampling)
    return torch.from_numpy(pooled)


def regions(count: int, seed: int = 0, side: float = 96.0) -> tuple[Tensor, Tensor]:
    """Boxes of which many reach over the border of a picture of `side` pixels, some far."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side * 1.4 - side * 0.2
    sides = torch.rand(count, 2, generator=generator) * side * 0.8
    return torch.cat([corner, corner + sides], dim=1), torch.randint(0, 2, (count,), generator=generator)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 1, 2, 3])
@pytest.mark.parametrize("output", [(7, 7), (3, 5)])
def test_is_what_the_definition_says(aligned: bool, sampling: int, output: tuple[int, int]) -> None:
    torch.manual_seed(1)
    features = torch.randn(2, 2, 12, 9)
    boxes, index = regions(12)
    options = {"output": output, "scale": 1 / 8, "sampling": sampling, "aligned": aligned}
    found = roi_align(features, boxes, index, **options)
    wanted = by_definition(features, boxes, index, **options)
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)


@given(st.lists(st.integers(-40, 200), min_size=4, max_size=4), st.integers(0, 2), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_region_of_whole_pixels(corners: list[int], sampling: int, aligned: bool) -> None:
    # Swapped corners, no area, outside the map, exactly on its border: wherever a comparison may go either way.
    features = torch.arange(2 * 6 * 5.0).view(1, 2, 6, 5).sin()
    boxes, index = torch.tensor([corners]).float(), torch.zeros(1, dtype=torch.int64)
    options = {"output": (2, 3), "scale": 1 / 16, "sampling": sampling, "aligned": aligned}
    found = roi_align(features, boxes, index, **options)
    torch.testing.assert_close(found.double(), by_definition(features, boxes, index, **options), atol=1e-5, rtol=0)


def test_convention_pixel_middle() -> None:
    # A map whose cells say where their middle lies: the bins of an aligned region say where theirs do.
    features = ((torch.arange(20.0) + 0.5) * 8).expand(1, 1, 20, 20)
    boxes = torch.tensor([[20.0, 20, 76, 76]])
    found = roi_align(features, boxes, torch.zeros(1, dtype=torch.int64), scale=1 / 8)
    torch.testing.assert_close(found[0, 0, 3], torch.arange(7) * 8 + 24.0)
    old = roi_align(features, boxes, torch.zeros(1, dtype=torch.int64), scale=1 / 8, aligned=False)
    torch.testing.assert_close(old[0, 0, 3], torch.arange(7) * 8 + 28.0)


def test_regions_outside_without_area_and_none_at_all() -> None:
    features = torch.ones(1, 3, 8, 8)
    index = torch.zeros(1, dtype=torch.int64)
    outside = torch.tensor([[500.0, 500, 600, 600]])
    assert (roi_align(features, outside, index, scale=1 / 8) == 0).all()
    point = torch.tensor([[20.0, 20, 20, 20]])
    assert (roi_align(features, point, index, scale=1 / 8) == 1).all()
    assert (roi_align(features, point, index, scale=1 / 8, sampling=0) == 0).all()
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for sampling in (0, 2):
        features = torch.ones(1, 3, 8, 8, requires_grad=True)
        pooled = roi_align(features, *none, scale=1 / 8, sampling=sampling)
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert features.grad is not None and (features.grad == 0).all()


@pytest.mark.parametrize("aligned", [True, False])
def test_onnx_runtime_agrees(aligned: bool) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    torch.manual_seed(2)
    features = torch.randn(2, 4, 12, 10)
    boxes, index = regions(40, seed=3)
    for sampling in (0, 2):
        node = onnx.helper.make_node(
            "RoiAlign", ["x", "boxes", "index"], ["y"], output_height=7, output_width=7, spatial_scale=1 / 8,
            sampling_ratio=sampling, coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        )  # fmt: skip
        number = onnx.TensorProto
        inputs = [
            onnx.helper.make_tensor_value_info("x", number.FLOAT, list(features.shape)),
            onnx.helper.make_tensor_value_info("boxes", number.FLOAT, [None, 4]),
            onnx.helper.make_tensor_value_info("index", number.INT64, [None]),
        ]
        outputs = [onnx.helper.make_tensor_value_info("y", number.FLOAT, [None, 4, 7, 7])]
        graph = onnx.helper.make_graph([node], "roi_align", inputs, outputs)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9)
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (wanted,) = session.run(None, {"x": features.numpy(), "boxes": boxes.numpy(), "index": index.numpy()})
        found = roi_align(features, boxes, index, scale=1 / 8, sampling=sampling, aligned=aligned)
        torch.testing.assert_close(found, torch.from_numpy(wanted), atol=2e-5, rtol=0)


@pytest.mark.parametrize("sampling", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_torchvision_agrees_with_values_and_gradients(
    monkeypatch: pytest.MonkeyPatch, sampling: int, aligned: bool
) -> None:
    detection_models(monkeypatch)
    compiled = sys.modules["torchvision.ops.roi_align"]._roi_align
    reference = getattr(compiled, "__wrapped__", compiled)
    boxes, index = regions(20, seed=4)
    corner = boxes[:, :2].clamp(0, 60)
    boxes = torch.cat([corner, (boxes[:, 2:].clamp_max(88)).maximum(corner + 9)], dim=1)  # it wants them inside the map
    features = torch.randn(2, 3, 14, 11, dtype=torch.float64)
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    rois = torch.cat([index[:, None], boxes], dim=1).double()
    wanted = reference(theirs, rois, 1 / 8, 7, 7, sampling, aligned)
    found = roi_align(ours, boxes, index, scale=1 / 8, sampling=sampling, aligned=aligned)
    weights = torch.randn_like(wanted)
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)
    (ours_back,) = torch.autograd.grad((found * weights).sum(), ours)
    (theirs_back,) = torch.autograd.grad((wanted * weights).sum(), theirs)
    torch.testing.assert_close(ours_back, theirs_back, atol=1e-9, rtol=0)


@pytest.mark.parametrize("sampling", [0, 2])
def test_gradient_is_the_numerical_one(sampling: int) -> None:
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    boxes, index = regions(4, seed=5, side=48)
    assert torch.autograd.gradcheck(
        lambda x: roi_align(x, boxes, index, output=(2, 3), scale=1 / 8, sampling=sampling), (features,)
    )


def test_forward_and_backward_are_the_same_every_time() -> None:
    features = torch.randn(2, 32, 20, 20, requires_grad=True)
    boxes, index = regions(200, seed=6, side=160)

    def run() -> tuple[Tensor, Tensor]:
        pooled = roi_align(features, boxes, index, scale=1 / 8)
        return pooled, torch.autograd.grad(pooled.square().sum(), features)[0]

    first = run()
    for _ in range(5):
        assert all(torch.equal(one, two) for one, two in zip(first, run(), strict=True))


def test_memory_layout_and_half_precision_change_nothing_else() -> None:
    features = torch.randn(2, 8, 12, 12)
    boxes, index = regions(10, seed=7)
    wanted = roi_align(features, boxes, index, scale=1 / 8)
    nhwc = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(roi_align(nhwc, boxes, index, scale=1 / 8), wanted)
    half = features.bfloat16().requires_grad_()
    found = roi_align(half, boxes, index, scale=1 / 8)
    assert found.dtype == torch.bfloat16
    exact = roi_align(half.detach().float(), boxes, index, scale=1 / 8)
    torch.testing.assert_close(found, exact.bfloat16())
    found.sum().backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16


class Pool(nn.Module):
    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        return roi_align(features, boxes, index, scale=1 / 8).flatten(1)


def test_exports_as_one_node_with_any_number_of_regions() -> None:
    count = torch.export.Dim("count", min=2, max=1000)
    features = torch.randn(2, 4, 12, 12)
    program = torch.export.export(Pool(), (features, *regions(5)), dynamic_shapes=(None, {0: count}, {0: count}))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count("allsight.roi_align.default") == 1
    assert torch.equal(program.module()(features, *regions(30)), Pool()(features, *regions(30)))


@pytest.mark.parametrize("sampling", [0, 2])
def test_operators_are_registered_correctly(sampling: int) -> None:
    features = torch.randn(2, 4, 12, 12, requires_grad=True)
    boxes, index = regions(6)
    torch.library.opcheck(torch.ops.allsight.roi_align.default, (features, boxes, index, 3, 4, 1 / 8, sampling, True))
    gradient = torch.randn(6, 4, 3, 4)
    backward = torch.ops.allsight.roi_align_backward.default
    torch.library.opcheck(backward, (gradient, boxes, index, 2, 12, 12, 1 / 8, sampling, True))
