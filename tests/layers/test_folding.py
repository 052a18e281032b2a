from functools import partial

import pytest
import torch
from torch import nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.googlenet import googlenet
from allsight.backbones.pictures.resnet import resnet18, resnet50
from allsight.layers.folding import folded
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.scene import Vocabulary


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def unlike(net: nn.Module) -> nn.Module:
    """Give every norm statistics and scales of its own, so that a wrong pair shows."""
    generator = torch.Generator().manual_seed(0)
    for norm in norms(net):
        for tensor in (norm.running_var, norm.weight.data):
            tensor.uniform_(0.5, 1.5, generator=generator)
        for tensor in (norm.running_mean, norm.bias.data):
            tensor.normal_(0, 0.2, generator=generator)
    return net.eval()


@pytest.mark.parametrize("build", [partial(efficientnet_lite0, False), resnet18, resnet50, googlenet])
def test_a_trunk_answers_the_same_without_any_norm(build):
    torch.manual_seed(0)
    net, pictures = unlike(build()), torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    names = ("c3", "c5")
    other = folded(net, pictures, names)
    assert norms(net)
    # GoogLeNet's side branches and Lite's head did not run, so that nothing is known of them.
    left = [name for name, module in other.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(name == "_bn1" or name.startswith("aux") for name in left)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        expected, found = net(pictures, names), other(pictures, names)
    for name in names:
        torch.testing.assert_close(
            found[name], expected[name], rtol=1e-3, atol=1e-4 * float(expected[name].abs().max())
        )


def test_norms_that_share_a_convolution_stay():
    torch.manual_seed(0)
    net = unlike(retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=Vocabulary(("a", "b"))))
    pictures = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    other = folded(net, pictures)
    assert len(norms(other.heads)) == len(norms(net.heads)) > 0
    assert not norms(other.trunk)
    with torch.no_grad():
        expected, found = net(pictures).heads["objects"], other(pictures).heads["objects"]
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-3, atol=1e-3)


def test_only_the_norm_that_reads_the_convolution_is_taken_in():
    """A norm before its convolution, one of a sum, one in training: none of them may go."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.before = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.second, self.after = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
            self.third, self.learning = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.before(self.first(x).relu())
            return self.learning(self.third(self.after(self.second(x)) + x))

    net = unlike(Mixed())
    net.learning.train()
    x = torch.rand(2, 3, 8, 8)
    other = folded(net, x)
    assert [type(getattr(other, name)) for name in ("before", "after", "learning")] == [
        nn.BatchNorm2d,
        nn.Identity,
        nn.BatchNorm2d,
    ]
    torch.testing.assert_close(other(x), net(x), rtol=1e-4, atol=1e-5)
