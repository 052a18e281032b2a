"""U-Net: the paper's size, what skips carry, weights between instances in the head's loss."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from region_examples import CLASSES, parameters
from torch import Tensor

from allsight.backbones.pictures.contracting import unet_encoder, vgg_narrow
from allsight.backbones.pictures.resnet import resnet18
from allsight.losses.borders import border_weights
from allsight.models.segmentation.region_head import RegionOutputs
from allsight.models.segmentation.unet import BorderedRegionHead, UNetDecoder, instance_map, unet, unet_narrow
from allsight.scene import Frame, Masks, Scene, Vocabulary

CELLS = Vocabulary(("background", "cell"))


def test_it_is_as_large_as_the_paper_s() -> None:
    with torch.device("meta"):
        system = unet(trunk=unet_encoder(), classes=CELLS)
    # Layer by layer from figure 1, for pictures of three channels.
    widths = [64, 128, 256, 512, 1024]
    down = sum(9 * a * b + b + 9 * b * b + b for a, b in zip([3, *widths], widths, strict=False))
    up = sum(4 * b * a + a + 9 * b * a + a + 9 * a * a + a for a, b in pairwise(widths))
    assert parameters(system) == down + up + 64 * 2 + 2 == 31_031_810


def test_skips_carry_the_trunk_s_finer_maps_and_nothing_else_differs() -> None:
    torch.manual_seed(0)
    joined, bare = (unet_narrow(trunk=resnet18(), classes=CLASSES, skips=skips) for skips in (True, False))
    assert joined.heads["regions"].inputs == ("c1", "c2", "c3", "c4", "c5")
    assert bare.heads["regions"].inputs == ("c5",)
    ours = dict(joined.heads["regions"].decoder.named_parameters())
    theirs = dict(bare.heads["regions"].decoder.named_parameters())
    assert ours.keys() == theirs.keys()
    differ = {name for name in ours if ours[name].shape != theirs[name].shape}
    assert differ == {f"convolutions.{level}.0.weight" for level in range(4)}
    skipped = [joined.trunk.channels[f"c{i}"] for i in (4, 3, 2, 1)]
    for level, width in enumerate(skipped):
        name = f"convolutions.{level}.0.weight"
        assert ours[name].shape[1] - theirs[name].shape[1] == width


def test_a_fine_map_is_seen_only_through_its_skip() -> None:
    channels = {"c1": 4, "c2": 8}
    decoder = UNetDecoder(channels=channels, strides={"c1": 1, "c2": 2}, widths=(4,), classes=3)
    features = {"c1": torch.zeros(1, 4, 32, 32, requires_grad=True), "c2": torch.randn(1, 8, 16, 16)}
    decoder.eval()(features)[0, 0, 16, 16].backward()
    seen = features["c1"].grad[0].abs().sum(0).nonzero()  # two 3x3 convolutions behind the join
    assert seen.amin(0).tolist() >= [14, 14]
    assert seen.amax(0).tolist() <= [18, 18]


def test_levels_of_other_trunks() -> None:
    decoder = unet_narrow(trunk=vgg_narrow(), classes=CLASSES, widths=(8, 8, 16, 16)).heads["regions"].decoder
    assert [up.out_channels for up in decoder.upsampling] == [16, 16, 8, 8]


def test_activations_keep_their_size_through_the_plain_form() -> None:
    torch.manual_seed(0)
    system = unet(trunk=unet_encoder(), classes=CELLS).eval()
    with torch.inference_mode():
        logits = system(torch.randn(1, 3, 64, 64)).heads["regions"].logits
    assert 0.1 < logits.std() < 30


def two_cells() -> tuple[Tensor, Scene]:
    """Return two cells three pixels apart, as a map of numbers and as a scene."""
    numbers = torch.zeros(16, 32, dtype=torch.int64)
    numbers[4:12, 4:14] = 1
    numbers[4:12, 17:28] = 2
    scene = Scene((16, 32), masks=Masks.from_labels(numbers), regions=(numbers > 0).long(), region_classes=CELLS)
    return numbers, scene


def test_masks_become_a_map_of_instances() -> None:
    numbers, scene = two_cells()
    assert scene.masks is not None
    assert torch.equal(instance_map(scene.masks), numbers)
    assert not instance_map(Masks.blank(2, (4, 5))).any()


def criterion(scenes: list[Scene], logits: Tensor) -> dict[str, Tensor]:
    decoder = UNetDecoder(channels={"c1": 2, "c2": 2}, strides={"c1": 1, "c2": 2}, widths=(2,), classes=2)
    head = BorderedRegionHead(decoder=decoder, classes=CELLS)
    return head.criterion(RegionOutputs(logits), [Frame.whole((16, 32))] * len(scenes), scenes)


def test_the_head_adds_the_border_term() -> None:
    numbers, scene = two_cells()
    logits = torch.randn(1, 2, 16, 32, requires_grad=True)
    terms = criterion([scene], logits)
    each = F.cross_entropy(logits, scene.regions[None], reduction="none")
    assert terms["cross_entropy"].item() == pytest.approx(each.mean().item(), rel=1e-5)
    weights = border_weights(numbers)
    assert weights[8, 15].item() == pytest.approx(10 * math.exp(-16 / 50))
    assert terms["borders"].item() == pytest.approx((each * weights).mean().item(), rel=1e-5)
    terms["borders"].backward()
    assert logits.grad[0, :, 8, 15].all()
    assert not logits.grad[0, :, 8, 8].any()


def test_pictures_that_are_not_annotated_have_no_border_term() -> None:
    _, scene = two_cells()
    logits = torch.randn(3, 2, 16, 32)
    no_masks, nothing = Scene((16, 32), regions=scene.regions), Scene((16, 32), masks=scene.masks)
    assert criterion([no_masks], logits[:1])["borders"].item() == 0
    assert criterion([nothing], logits[:1])["borders"].item() == 0
    both = criterion([scene, no_masks, nothing], logits)["borders"]
    alone = criterion([scene], logits[:1])["borders"]
    assert both.item() == pytest.approx(alone.item() / 2, rel=1e-5)  # over the known pixels of two pictures
