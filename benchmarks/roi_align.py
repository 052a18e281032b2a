"""RoIAlign: ours against ONNX Runtime's on the same regions of a 40x40 map of 256 channels, over 30 to 3,000 of them.

Run it with `python benchmarks/roi_align.py [--json PATH] [--quick]`. The map lies in memory as each of the two wants
it: channels last for ours, channels first for ONNX Runtime's. `backward` is the gradient alone, which only ours has.
"""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from allsight.ops.roi_align import roi_align
from timing import Rows, arguments, line, milliseconds, report

COUNTS = (30, 100, 300, 1000, 3000)
CHANNELS, SIDE, STRIDE = 256, 40, 16


def regions(count: int) -> Tensor:
    """Return boxes of 16 to 400 pixels, as a region-proposal net gives them."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * (SIDE * STRIDE - 16)
    sides = 16 * 25 ** torch.rand(count, 2, generator=generator)
    return torch.cat([corner, corner + sides], dim=1).clamp_max(SIDE * STRIDE)


def peer() -> onnxruntime.InferenceSession:
    """Return a graph that is nothing but one RoiAlign, on one thread."""
    number, value = onnx.TensorProto, onnx.helper.make_tensor_value_info
    settings = {"output_height": 7, "output_width": 7, "sampling_ratio": 2, "spatial_scale": 1 / STRIDE}
    node = onnx.helper.make_node(
        "RoiAlign", ["x", "boxes", "index"], ["y"], coordinate_transformation_mode="half_pixel", **settings
    )
    inputs = [
        value("x", number.FLOAT, [1, CHANNELS, SIDE, SIDE]),
        value("boxes", number.FLOAT, [None, 4]),
        value("index", number.INT64, [None]),
    ]
    graph = onnx.helper.make_graph([node], "roi_align", inputs, [value("y", number.FLOAT, [None, CHANNELS, 7, 7])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compare(session: onnxruntime.InferenceSession, count: int, repeats: int) -> dict[str, Any]:
    features = torch.randn(1, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    feed = {"x": features.numpy(), "boxes": regions(count).numpy(), "index": np.zeros(count, dtype=np.int64)}
    boxes, index = torch.from_numpy(feed["boxes"]), torch.from_numpy(feed["index"])
    last = features.contiguous(memory_format=torch.channels_last)
    learned = last.clone().requires_grad_()
    pooled = roi_align(learned, boxes, index, scale=1 / STRIDE)
    gradient = torch.ones_like(pooled)
    ours, theirs, backward = milliseconds(
        lambda: roi_align(last, boxes, index, scale=1 / STRIDE),
        lambda: session.run(None, feed),
        lambda: torch.autograd.grad(pooled, learned, gradient, retain_graph=True),
        repeats=repeats,
    )
    return {
        "regions": count,
        "allsight_ms": ours,
        "onnxruntime_ms": theirs,
        "ratio": ours / theirs,
        "backward_ms": backward,
        "largest_difference": float(np.abs(session.run(None, feed)[0] - pooled.detach().numpy()).max()),
    }


def headline(rows: Rows) -> Rows:
    """Return what a detector asks for, and the most."""
    return [
        line(f"{row['regions']:,} regions", row["allsight_ms"], "ONNX Runtime", row["onnxruntime_ms"], "ms")
        for row in rows
        if row["regions"] in (300, 3000)
    ]


def main() -> None:
    given = arguments(__doc__)
    torch.set_num_threads(1)
    session = peer()
    rows = [compare(session, count, 3 if given.quick else 9) for count in (COUNTS[1:3] if given.quick else COUNTS)]
    report("roi_align", rows, given.json, headline)


if __name__ == "__main__":
    main()
