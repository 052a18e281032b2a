"""The head for regions and its light decoder: geometry, losses, sizes, a training on a made task."""

from collections.abc import Mapping, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import dilate
from allsight.backbones.pictures.resnet import resnet18
from allsight.data.pictures.loading import Batch
from allsight.errors import ModelError
from allsight.losses.lovasz import lovasz_softmax
from allsight.models.segmentation.fpn import fpn_regions, fpn_regions_narrow
from allsight.models.segmentation.region_head import Decoder, RegionHead, RegionOutputs
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("dark", "middle", "light"))


class Given(Decoder):
    """Gives the logits that lie among the features."""

    inputs = ("logits",)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return them."""
        return features["logits"]


def head() -> RegionHead:
    return RegionHead(decoder=Given(), classes=CLASSES)


def batch(regions: Sequence[Tensor | None], size: tuple[int, int] = (64, 96)) -> Batch:
    """Pictures as bright as their labels say; noise where these are not known."""
    random = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 30, (len(regions), 3, *size), generator=random)
    scenes = []
    for picture, labels in zip(pictures, regions, strict=True):
        if labels is not None:
            picture += 100 * torch.where(labels == 255, 0, labels)
        scenes.append(Scene(size, regions=labels, region_classes=CLASSES))
    names = [str(i) for i in range(len(regions))]
    return Batch(pictures.to(torch.uint8), [Frame.whole(size)] * len(regions), scenes, names)


def test_a_picture_of_known_colours_comes_back_at_its_place() -> None:
    regions = torch.zeros(72, 96, dtype=torch.int64)
    regions[20:, 30:] = 1
    regions[50:, 70:] = 2
    frame = Frame.fit((72, 96), 96)
    padded = frame.to_model(Scene((72, 96), regions=regions)).regions
    assert padded is not None
    logits = 5 * F.one_hot(padded.where(padded != 255, 0), 3).movedim(-1, 0).float()
    (scene,) = head().decode(RegionOutputs(logits[None]), [frame])
    assert scene.size == (72, 96)
    assert scene.region_classes == CLASSES
    assert torch.equal(scene.regions, regions)


def test_losses_are_named_and_can_be_changed() -> None:
    truth = torch.randint(0, 3, (8, 12))
    logits = torch.randn(1, 3, 2, 3, requires_grad=True)
    one = head()
    scenes, frames = [Scene((8, 12), regions=truth)], [Frame.whole((8, 12))]
    found = one.criterion(RegionOutputs(logits), frames, scenes)
    fine = F.interpolate(logits, size=(8, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, {"cross_entropy": F.cross_entropy(fine, truth[None])})
    one.losses = {"lovasz": lovasz_softmax}
    torch.testing.assert_close(
        one.criterion(RegionOutputs(logits), frames, scenes), {"lovasz": lovasz_softmax(fine, truth[None])}
    )


def test_pictures_without_regions_give_no_loss_and_no_gradient() -> None:
    system = fpn_regions_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES).eval()
    truth = torch.randint(0, 3, (64, 96))
    both = batch([truth, None])
    one = Batch(both.pictures[:1], both.frames[:1], both.scenes[:1], ["one"])
    torch.testing.assert_close(system.loss(both), system.loss(one))
    nothing = system.loss(Batch(both.pictures[1:], both.frames[1:], both.scenes[1:], ["two"]))
    (term,) = nothing.values()
    assert float(term.detach()) == 0
    term.backward()
    assert all(p.grad is None or not p.grad.any() for p in system.parameters())


@pytest.mark.parametrize("build", [fpn_regions, fpn_regions_narrow])
def test_forms_and_every_parameter_is_used(build) -> None:
    system = build(trunk=resnet18(), classes=CLASSES)
    made = batch([torch.randint(0, 3, (64, 96))] * 2)
    outputs = system(made.pictures)
    assert tuple(outputs.heads["regions"].logits.shape) == (2, 3, 16, 24)
    sum(system.loss(made).values()).backward()
    assert all(p.grad is not None for p in system.parameters())


def test_sides_that_are_no_multiple_of_the_stride_are_refused() -> None:
    system = fpn_regions_narrow(trunk=resnet18(), classes=CLASSES).eval()
    with pytest.raises(ModelError, match="multiples") as caught:
        system(torch.zeros(1, 3, 70, 96, dtype=torch.uint8))
    assert "stride 32" in str(caught.value)


def test_a_dilated_trunk_needs_no_further_doubling() -> None:
    trunk = resnet18()
    dilate(trunk, 8)
    system = fpn_regions_narrow(trunk=trunk, classes=CLASSES).eval()
    logits = system(torch.zeros(1, 3, 64, 96, dtype=torch.uint8)).heads["regions"].logits
    assert tuple(logits.shape) == (1, 3, 16, 24)


def test_the_shipped_form_is_small() -> None:
    system = fpn_regions_narrow(trunk=efficientnet_lite0(weights=False), classes=Vocabulary(tuple(map(str, range(11)))))
    total = sum(p.numel() for p in system.parameters())
    trunk = sum(p.numel() for p in system.trunk.parameters())
    assert total - trunk < 200_000
    assert 2 * total < 8e6  # bytes in float16


def test_it_learns_and_scales_back() -> None:
    torch.manual_seed(0)
    system = fpn_regions_narrow(trunk=resnet18(), classes=CLASSES, channels=32, width=32)
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    blocks = torch.arange(24).reshape(4, 6) % 3
    truth = blocks.repeat_interleave(16, 0).repeat_interleave(16, 1)
    learn = batch([truth, truth.flip(1)])
    for _ in range(30):
        loss = sum(system.loss(learn).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    system.eval()
    with torch.inference_mode():
        outputs = system(learn.pictures)
        scenes = system.decode(outputs, [Frame((32, 48), (64, 96), (64, 96))] * 2)
    assert (scenes[0].regions == truth[::2, ::2]).float().mean() > 0.9
