"""The published net as its list of operations says, without any of the package: an independent truth."""

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # blue, green, red


def graph_output(folder: Path, pictures: Tensor) -> Tensor:
    """Return (P, 80 scores + 32 logits of sides) of one picture (1, 3, H, W) uint8 RGB."""
    weights = {name: tensor.float() for name, tensor in load_file(folder / "nanodet_plus_m_416.safetensors").items()}
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    values = {"data": (pictures.flip(1).float() - mean) / std}
    for line in (folder / "graph.txt").read_text().splitlines():
        head, flow = line.rsplit(" | ", 1)
        name, operation = head.split(": ", 1)
        inputs, outputs = (side.strip().split(", ") for side in flow.split("->"))
        if operation.startswith("Input"):
            continue
        given = [values[each] for each in inputs]
        found = _computed(name, operation.strip(), given, weights)
        values |= dict(zip(outputs, found * len(outputs) if len(found) == 1 else found, strict=True))
    return values["output"][0]


def _computed(name: str, operation: str, inputs: list[Tensor], weights: dict[str, Tensor]) -> list[Tensor]:
    (kind, *_), x = operation.split(), inputs[0]
    numbers = [int(number) for number in re.findall(r"\b\d+\b", operation.split(")")[-1])]
    match kind:
        case "Convolution" | "ConvolutionDepthWise":
            stride, padding, groups, *_ = numbers
            y = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding, 1, groups)
            return [F.leaky_relu(y, 0.1) if "leaky_relu 0.1" in operation else y]
        case "Pooling":
            return [F.max_pool2d(x, 3, 2, 1)]
        case "Split":
            return [x]
        case "Concat":
            return [torch.cat(inputs, 2 if "places" in operation else 1)]
        case "ShuffleChannel":
            return [F.channel_shuffle(x, 2)]
        case "Crop":
            return [x[:, slice(*numbers)]]
        case "Interp":
            return [F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)]
        case "BinaryOp":
            return [x + inputs[1]]
        case "Slice":
            return [x[:, :80], x[:, 80:]]
        case "Sigmoid":
            return [x.sigmoid()]
        case "Reshape":
            return [x.flatten(2)]
        case "Permute":
            return [x.transpose(1, 2)]
    raise ValueError(operation)


def reference(folder: Path) -> tuple[Tensor, Tensor]:
    """Return the published picture (1, 3, 416, 416) uint8 RGB and what the published net said of it."""
    with np.load(folder / "reference.npz") as arrays:
        picture = torch.from_numpy(arrays["picture"]).permute(2, 0, 1)[None]
        return picture, torch.from_numpy(arrays["output"]).float()
