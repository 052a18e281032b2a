"""Depth and normal heads: outputs that say the truth, what is not annotated, and answers in original pixels."""

import pytest
import torch
from torch import Tensor

from allsight.data.made.still_lifes import still_lifes
from allsight.metrics.surfaces import depth_scores, normal_scores
from allsight.models.segmentation.region_head import Decoder
from allsight.models.surfaces.heads import DepthHead, NormalHead, SurfaceOutputs
from allsight.scene import Frame, Scene

SIZE = (96, 128)


class Given(Decoder):
    """Features that are the answer already."""

    inputs = ("maps",)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return features["maps"]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [example.scene for example in still_lifes(2, seed=4, size=SIZE)]


def test_the_truth_costs_nothing_and_is_answered(scenes: list[Scene]) -> None:
    frames = [Frame.whole(SIZE)] * 2
    depth = SurfaceOutputs(torch.stack([scene.depth.log()[None] for scene in scenes]))
    normals = SurfaceOutputs(torch.stack([4 * scene.normals for scene in scenes]))
    heads = ((DepthHead(Given()), depth, depth_scores), (NormalHead(Given()), normals, normal_scores))
    for head, outputs, _ in heads:
        assert head.criterion(outputs, frames, scenes)[head.term].item() == pytest.approx(0, abs=1e-5)
    assert depth_scores(scenes, heads[0][0].decode(depth, frames)).relative < 1e-5
    assert normal_scores(scenes, heads[1][0].decode(normals, frames)).mean < 0.05


def test_pictures_that_are_not_annotated_have_no_loss(scenes: list[Scene]) -> None:
    frames = [Frame.whole(SIZE)] * 2
    maps = torch.randn(2, 3, 24, 32, requires_grad=True)
    for head, channels in ((DepthHead(Given()), 1), (NormalHead(Given()), 3)):
        half = head.criterion(SurfaceOutputs(maps[:, :channels]), frames, [scenes[0], Scene(SIZE)])[head.term]
        alone = head.criterion(SurfaceOutputs(maps[:1, :channels]), frames[:1], scenes[:1])[head.term]
        torch.testing.assert_close(half, alone)
        none = head.criterion(SurfaceOutputs(maps[:, :channels]), frames, [Scene(SIZE)] * 2)[head.term]
        assert none.item() == 0
        assert torch.autograd.grad(none, maps)[0].abs().sum() == 0


def test_answers_lie_on_the_original_picture() -> None:
    """A ramp stays a ramp: twice as large, and without the padding below and to the right."""
    frame = Frame((64, 96), (32, 48), (64, 64))
    ramp = (torch.arange(16) + 0.5) * 4  # at stride 4: the x of each cell's centre
    maps = ramp.expand(1, 1, 16, 16)
    (found,) = DepthHead(Given()).decode(SurfaceOutputs(maps / 100), [frame])
    assert found.depth.shape == (64, 96)
    expected = (torch.arange(96) + 0.5) / 2
    assert (100 * found.depth[10, 8:].log() - expected[8:]).abs().max() < 1e-3
    up = torch.tensor([0.0, 0.0, -2.0])[None, :, None, None].expand(1, 3, 16, 16)
    (found,) = NormalHead(Given()).decode(SurfaceOutputs(up), [frame])
    torch.testing.assert_close(found.normals, torch.tensor([0.0, 0, -1])[:, None, None].expand(3, 64, 96))
