"""What the tests of architectures for regions share: classes, pictures to learn by heart, small trunks."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.backbones.pictures.vgg import vgg11
from allsight.data.pictures.loading import Batch
from allsight.models.vision import Vision
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("dark", "middle", "light"))
SIZE = (64, 96)


def blocks(side: int = 32) -> Tensor:
    """Return regions (64, 96) of squares."""
    cells = torch.arange(SIZE[0] // side * (SIZE[1] // side)).reshape(SIZE[0] // side, -1) % 3
    return cells.repeat_interleave(side, 0).repeat_interleave(side, 1)


def batch_of(regions: Sequence[Tensor]) -> Batch:
    """Return grainy pictures that are as bright as their labels say."""
    random = torch.Generator().manual_seed(0)
    size = tuple(regions[0].shape)
    grain = torch.randint(0, 40, (len(regions), 3, *size), generator=random)
    pictures = (grain + 100 * torch.stack(list(regions))[:, None]).to(torch.uint8)
    scenes = [Scene(size, regions=each, region_classes=CLASSES) for each in regions]
    return Batch(pictures, [Frame.whole(size)] * len(regions), scenes, [str(i) for i in range(len(regions))])


def two_pictures(side: int = 32) -> Batch:
    """Return two pictures, one the other's mirror image."""
    return batch_of([blocks(side), blocks(side).flip(1)])


def logits_of(system: Vision, pictures: Tensor) -> Tensor:
    """Return the logits of the only head."""
    return system(pictures).heads["regions"].logits


def parameters(module: nn.Module) -> int:
    """Return how many numbers are learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def thin_vgg(hidden: int = 24) -> Trunk:
    """Return a VGG-11 whose linear layers are thin; its statistics of pictures are not to be used."""
    with torch.device("meta"):
        trunk = vgg11()
        widths = (512 * 49, hidden, hidden, 10)
        linear = [nn.Linear(a, b) for a, b in pairwise(widths)]
        parts = (linear[0], nn.ReLU(), nn.Dropout(), linear[1], nn.ReLU(), nn.Dropout(), linear[2])
        trunk.classifier = nn.Sequential(*parts)
    trunk.to_empty(device="cpu")
    random = torch.Generator().manual_seed(0)
    for parameter in trunk.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5, generator=random)
    return trunk.eval()
