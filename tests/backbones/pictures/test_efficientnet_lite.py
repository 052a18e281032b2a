"""EfficientNet-Lite against its published size and against photographs whose content is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from allsight.backbones.pictures.efficientnet_lite import (
    SameConv2d,
    efficientnet_lite0,
    efficientnet_lite1,
    efficientnet_lite2,
)
from allsight.weights.imagenet import imagenet_classes

# Millions of parameters in the table of the Lite models' release notes, and the training size of each.
PUBLISHED = [(efficientnet_lite0, 4.7, 224), (efficientnet_lite1, 5.4, 240), (efficientnet_lite2, 6.1, 260)]


def centre(picture: Image.Image, size: int) -> torch.Tensor:
    """The usual test view: short side to size / 0.875, then the middle."""
    scale = size / 0.875 / min(picture.size)
    picture = picture.convert("RGB").resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in picture.size)
    return torch.from_numpy(np.array(picture.crop((left, top, left + size, top + size)))).permute(2, 0, 1)


@pytest.mark.parametrize(("builder", "millions", "size"), PUBLISHED)
def test_published_number_of_parameters(builder, millions, size):
    with torch.device("meta"):
        trunk = builder(weights=False)
    assert round(sum(parameter.numel() for parameter in trunk.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("shape", [(32, 32), (33, 32), (31, 17), (6, 9)])
def test_convention_same_padding_is_tensorflows(kernel, shape):
    conv = SameConv2d(4, 4, kernel, 2, kernel // 2, groups=4, bias=False)
    x = torch.randn(2, 4, *shape)
    pads = []
    for size in reversed(shape):
        total = max((-(-size // 2) - 1) * 2 + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    by_hand = F.conv2d(F.pad(x, pads), conv.weight, stride=2, groups=4)
    torch.testing.assert_close(conv(x), by_hand)
    assert by_hand.shape[2:] == tuple(-(-size // 2) for size in shape)


@pytest.mark.parametrize(("builder", "millions", "size"), PUBLISHED)
def test_names_free_photographs(builder, millions, size):
    data = pytest.importorskip("skimage.data")
    expected = {
        "cat": {"tabby", "tiger cat", "Egyptian cat"},
        "coffee": {"espresso", "cup", "coffee mug"},
        "rocket": {"missile", "projectile", "space shuttle"},
    }
    views = torch.stack([centre(Image.fromarray(getattr(data, name)()), size) for name in expected])
    with torch.inference_mode():
        logits = builder().eval()(views, ["logits"])["logits"]
    for best, right in zip(logits.topk(3).indices.tolist(), expected.values(), strict=True):
        assert {imagenet_classes()[index] for index in best} & right
    assert imagenet_classes()[logits[1].argmax()] == "espresso"


def test_names_most_of_caltech(shared_data: Path):
    right = {"laptop": {"laptop", "notebook"}, "cup": {"cup", "coffee mug"}, "pizza": {"pizza"}}
    trunk = efficientnet_lite0().eval()
    hits = []
    for folder, names in right.items():
        paths = sorted((shared_data / "caltech7" / folder).iterdir())[:16]
        views = torch.stack([centre(Image.open(path), 224) for path in paths])
        with torch.inference_mode():
            best = trunk(views, ["logits"])["logits"].argmax(1).tolist()
        hits += [imagenet_classes()[index] in names for index in best]
    assert np.mean(hits) > 0.65


def test_logits_are_the_linear_layer_on_the_mean_of_head():
    trunk = efficientnet_lite0().eval()
    with torch.inference_mode():
        found = trunk(torch.randn(2, 3, 64, 96), ["head", "pooled", "logits"])
        torch.testing.assert_close(found["pooled"], found["head"].mean((2, 3)))
        torch.testing.assert_close(found["logits"], found["pooled"] @ trunk._fc.weight.T + trunk._fc.bias)
