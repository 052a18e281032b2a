"""The runtimes side by side, fastest last, as the arms of a benchmark."""

from pathlib import Path

import torch

from allsight.hub import Model
from allsight.predict.graphs import outputs_like, write_onnx
from allsight.predict.runtimes import OWN_SIZES, OnnxRuntime, OpenVinoRuntime, Runtime, TorchRuntime, installed


def runtimes_of(model: Model, graph: Path) -> dict[str, Runtime]:
    """Return everything here that can run a model, by name.

    Args:
        graph: where to write the model's graph, if anything that is installed can run it.
    """
    arms: dict[str, Runtime] = {
        "torch float32": TorchRuntime(model.system),
        "torch bfloat16": TorchRuntime(model.system, torch.bfloat16),
    }
    there = [name for name in ("onnxruntime", "openvino") if installed(name)]
    if there:
        write_onnx(model, graph)
        like = outputs_like(model)
    if "onnxruntime" in there:
        arms["onnxruntime float32"] = OnnxRuntime(graph, like)
    if "openvino" in there:
        arms["openvino float32"] = OpenVinoRuntime(graph, like, sizes=OWN_SIZES)
        arms["openvino bfloat16"] = OpenVinoRuntime(graph, like, torch.bfloat16, OWN_SIZES)
    return arms
