"""The published weights of NanoDet-Plus-m by our names (RangiLyu/nanodet, Apache-2.0).

They are published as a graph for inference, in which batch norms are folded and a convolution is called after its place
in the list of operations. Each line here gives the numbers of a block's convolutions in the order in which it has them.
"""

from collections.abc import Mapping

from torch import Tensor

from allsight.errors import WeightsError
from allsight.models.vision import Vision
from allsight.weights.files import load_state

# Places of the convolutions within our sequences, where a norm's place stands empty behind each.
_FILTER_MIX, _MIX_FILTER_MIX, _SEPARABLE = (0, 2), (0, 3, 5), (0, 3)

_TRUNK = {
    "conv1": (0,),
    "stage2.0": (3, 4, 6, 8, 9),
    "stage2.1": (31, 33, 34),
    "stage2.2": (56, 58, 59),
    "stage2.3": (81, 83, 84),
    "stage3.0": (92, 93, 95, 97, 98),
    "stage3.1": (120, 122, 123),
    "stage3.2": (145, 147, 148),
    "stage3.3": (170, 172, 173),
    "stage3.4": (195, 197, 198),
    "stage3.5": (220, 222, 223),
    "stage3.6": (245, 247, 248),
    "stage3.7": (270, 272, 273),
    "stage4.0": (281, 282, 284, 286, 287),
    "stage4.1": (309, 311, 312),
    "stage4.2": (334, 336, 337),
    "stage4.3": (359, 361, 362),
}
_REDUCE = (370, 372, 374)
_MERGE = {
    "down.0": (379, 381, 384, 385, 387, 388),
    "down.1": (393, 395, 398, 399, 401, 402),
    "up.0": (409, 411, 414, 415, 417, 418),
    "up.1": (425, 427, 430, 431, 433, 434),
}
_HALVE = {"smaller.0": (404, 406), "smaller.1": (420, 422), "coarser.0": (436, 438), "coarser.1": (440, 442)}
_HEAD = ((445, 447, 449, 451, 453), (465, 467, 469, 471, 473), (485, 487, 489, 491, 493), (505, 507, 509, 511, 513))

_GHOSTS = (
    "ghosts.0.primary.0",
    "ghosts.0.cheap.0",
    "ghosts.1.primary.0",
    "ghosts.1.cheap.0",
    "shortcut.0",
    "shortcut.2",
)


def convolutions() -> dict[str, str]:
    """Return our name for each published convolution: "Conv_31" is "trunk.stage2.1.branch2.0"."""
    ours: dict[int, str] = {}
    for block, numbers in _TRUNK.items():
        both = [f"branch1.{i}" for i in _FILTER_MIX] + [f"branch2.{i}" for i in _MIX_FILTER_MIX]
        parts = {1: ["0"], 3: both[2:], 5: both}[len(numbers)]
        ours |= {number: f"trunk.{block}.{part}" for number, part in zip(numbers, parts, strict=True)}
    ours |= {number: f"neck.reduce.{i}.0" for i, number in enumerate(_REDUCE)}
    for block, numbers in _MERGE.items():
        ours |= {number: f"neck.{block}.{part}" for number, part in zip(numbers, _GHOSTS, strict=True)}
    for block, numbers in _HALVE.items():
        ours |= {number: f"neck.{block}.{i}" for number, i in zip(numbers, _SEPARABLE, strict=True)}
    for level, (*hidden, last) in enumerate(_HEAD):
        prefix = "heads.objects.subnets"
        ours |= {number: f"{prefix}.hidden.{level}.{i}" for number, i in zip(hidden, (0, 3, 6, 9), strict=True)}
        ours[last] = f"{prefix}.last.{level}"
    return {f"Conv_{number}": name for number, name in ours.items()}


def load_published(system: Vision, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load the published tensors into `nanodet_plus` without norms and guidance, over `shufflenet_v2` likewise.

    The published net takes pictures as blue, green, red; ours as red, green, blue: the first kernels are turned round.

    Args:
        system: of COCO's eighty classes. state: tensor by its published name.
        source: where they come from, for the message.

    Raises:
        WeightsError: names or shapes are those of another net; every tensor has to be used, and all to be there.
    """
    first = "Conv_0.weight"
    if first not in state or state[first].shape[1:2] != (3,):
        raise WeightsError(f"{source}: has no {first} of three colours; give the weights of NanoDet-Plus-m")
    table = convolutions()

    def renamed(name: str) -> str:
        layer, _, kind = name.partition(".")
        return f"{table.get(layer, layer)}.{kind}"

    load_state(system, {**state, first: state[first].flip(1)}, source=source, rename=renamed)
