"""Nets that read digits: shapes, gradients that reach the transformers, and a recipe that learns."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from allsight import hub
from allsight.data.pictures.loading import Batch
from allsight.layers.spatial_transformer import TransformationName
from allsight.models.classification.digits import digit_net
from allsight.recipes.classification.digits import Digits
from allsight.recipes.run import train
from allsight.scene import Frame, Scene, Vocabulary

TEN = Vocabulary(tuple("0123456789"))


@pytest.mark.parametrize(("size", "channels", "transformers"), [(28, 1, 0), (42, 1, 1), (28, 2, 2)])
def test_it_reads_pictures_and_every_part_learns(size: int, channels: int, transformers: int) -> None:
    net = digit_net(classes=TEN, size=size, channels=channels, transformers=transformers)
    pictures = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8)
    outputs = net(pictures)
    assert outputs.logits.shape == (4, 10)
    assert [tuple(look.pictures.shape) for look in outputs.looks] == [(4, channels, size, size)] * transformers
    scenes = [Scene((size, size), tags=torch.eye(10)[i], tag_classes=TEN) for i in range(4)]
    frames = [Frame.whole((size, size))] * 4
    sum(net.loss(Batch(pictures, frames, scenes, ["made"] * 4)).values()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert all(look.parameters_of.weight.grad.abs().sum() > 0 for look in net.transformers)
    seen = net.decode(outputs, frames)
    assert torch.allclose(torch.stack([scene.tags for scene in seen]).sum(1), torch.ones(4))


@pytest.mark.parametrize("form", get_args(TransformationName))
def test_at_first_transformers_change_nothing(form: TransformationName) -> None:
    net = digit_net(classes=TEN, size=28, transformers=1, form=form)
    pictures = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8)
    looked = net(pictures).looks[0].pictures[:, 0]
    torch.testing.assert_close(looked, pictures[:, 0] / 255, atol=1e-3, rtol=0)


def test_a_saved_net_reads_as_before(shared_data: Path, tmp_path: Path) -> None:
    recipe = Digits(shared_data / "mnist", task="plain", pictures=2000, epochs=4, batch_size=50)
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert scores["top1"] > 0.9
    model = hub.load(tmp_path / "run")
    assert model.card["scores"]["top1"] == pytest.approx(scores["top1"], abs=1e-4)
    picture = torch.zeros(1, 3, 28, 28, dtype=torch.uint8)
    picture[..., 4:24, 13:16] = 255
    assert int(model.system(picture).logits.argmax()) == 1
