"""What holds for every architecture for regions: it learns, all of it, it can be exported, odd sizes are dealt with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from region_examples import CLASSES, SIZE, batch_of, blocks, logits_of, two_pictures

from allsight.backbones.pictures.contracting import ContractingPath, vgg_narrow
from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import freeze
from allsight.backbones.pictures.resnet import resnet18
from allsight.data.inputs import PictureInputs
from allsight.errors import ModelError
from allsight.hub import Model, Spec
from allsight.models.segmentation.deconvnet import deconvnet, deconvnet_narrow
from allsight.models.segmentation.dilated import dilated
from allsight.models.segmentation.fcn import fcn
from allsight.models.segmentation.segnet import segnet
from allsight.models.segmentation.unet import unet, unet_narrow
from allsight.models.vision import Vision
from allsight.predict.graphs import write_onnx
from allsight.systems import builder

Build = Callable[..., Vision]


def tiny_path(norm: bool = True) -> ContractingPath:
    return ContractingPath((8, 16, 32, 32, 32), (1, 1, 1, 2, 2), batch_norm=norm)


# Builder, and the strides of its logits on trunks whose c1 has stride 1 and on others; 0 where it refuses these.
ARCHITECTURES: dict[str, tuple[Build, int, int]] = {
    "fcn32s": (partial(fcn, stride=32), 32, 32),
    "fcn16s": (partial(fcn, stride=16), 16, 16),
    "fcn8s": (fcn, 8, 8),
    "front end": (partial(dilated, context="none"), 8, 8),
    "context": (dilated, 8, 8),
    "large context": (partial(dilated, context="large", output_stride=16), 16, 16),
    "unet": (unet, 1, 2),
    "unet, narrow": (unet_narrow, 1, 2),
    "unet without skips": (partial(unet_narrow, skips=False), 1, 2),
    "segnet": (segnet, 1, 0),
    "segnet, bilinear": (partial(segnet, unpool=False), 1, 0),
    "deconvnet": (partial(deconvnet_narrow, kernel=2, hidden=64), 1, 0),
}
TRUNKS = {
    "vgg_narrow": vgg_narrow,
    "resnet18": resnet18,
    "efficientnet_lite0": partial(efficientnet_lite0, weights=False),
}
every = pytest.mark.parametrize("name", ARCHITECTURES)


def built(name: str, trunk: Callable[[], Any] | None = None) -> Vision:
    torch.manual_seed(0)
    trunk = trunk or partial(tiny_path, norm=name != "unet")
    return ARCHITECTURES[name][0](trunk=trunk(), classes=CLASSES)


@every
@pytest.mark.parametrize("trunk", TRUNKS)
def test_logits_cover_the_picture(name: str, trunk: str) -> None:
    stride = ARCHITECTURES[name][1 if trunk == "vgg_narrow" else 2]
    if stride:
        with torch.inference_mode():
            found = logits_of(built(name, TRUNKS[trunk]).eval(), torch.zeros(2, 3, *SIZE, dtype=torch.uint8))
        assert tuple(found.shape) == (2, 3, SIZE[0] // stride, SIZE[1] // stride)


@every
def test_two_pictures_are_learned_by_heart_with_every_parameter(name: str) -> None:
    system, learn = built(name), two_pictures()
    freeze(system.trunk, None)
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    for _ in range(150):
        loss = torch.stack(list(system.loss(learn).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.25:
            break
    dead = [name for name, p in system.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead
    system.train()  # with the statistics of these two pictures, which the running ones have not reached yet
    with torch.no_grad():
        scenes = system.decode(system(learn.pictures), learn.frames)
    for scene, truth in zip(scenes, learn.scenes, strict=True):
        assert (scene.regions == truth.regions).float().mean() > 0.9


@every
def test_graphs_of_any_size_give_what_the_model_gives(name: str) -> None:
    system = built(name).eval()
    for parameter in system.parameters():
        parameter.requires_grad_(False)  # the graph is for prediction
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)  # scores that begin at zero
    sides = [32 * torch.export.Dim(side, min=2, max=16) for side in ("rows", "columns")]
    pictures = torch.randint(0, 256, (1, 3, 128, 160), dtype=torch.uint8)
    shapes = {"pictures": {2: sides[0], 3: sides[1]}}
    program = torch.export.export(system, (pictures,), dynamic_shapes=shapes)
    other = torch.randint(0, 256, (1, 3, 96, 192), dtype=torch.uint8)
    with torch.no_grad():
        found = program.module()(other)
        torch.testing.assert_close(found.heads["regions"].logits, logits_of(system, other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["segnet", "deconvnet"])
def test_export_of_unpooling_to_another_runtime(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    system = built(name).eval()
    write_onnx(Model(system, Spec(name), PictureInputs(64)), tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"))
    for size in ((32, 64), (96, 160)):
        pictures = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        (found,) = session.run(None, {"pictures": pictures.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), logits_of(system, pictures), rtol=1e-3, atol=1e-4)


def test_sizes_between_the_strides_are_refused_with_the_size_to_pad_to() -> None:
    pictures = torch.zeros(1, 3, 75, 100, dtype=torch.uint8)
    for name, multiple, size in (("fcn8s", 32, "96x128"), ("unet, narrow", 32, "96x128"), ("unet", 16, "80x112")):
        trunk = resnet18 if multiple == 32 else None
        with pytest.raises(ModelError, match=rf"multiple of {multiple}, here to {size}") as caught:
            built(name, trunk).eval()(pictures)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["segnet", "segnet, bilinear", "deconvnet", "front end", "fcn32s"])
def test_others_take_any_size(name: str) -> None:
    learn = batch_of([blocks()[:, :75].repeat(2, 1)[:101], blocks()[:, 5:80].repeat(2, 1)[:101]])
    system = built(name)
    found = logits_of(system, learn.pictures)
    if name.startswith(("segnet", "deconvnet")):
        assert tuple(found.shape) == (2, 3, 101, 75)
    torch.stack(list(system.loss(learn).values())).sum().backward()


@pytest.mark.parametrize("build", [segnet, deconvnet, deconvnet_narrow])
def test_trunks_without_pooling_indices_are_refused(build: Build) -> None:
    with pytest.raises(ModelError, match="ResNet has no pooling indices; take a VGG or vgg_narrow"):
        build(trunk=resnet18(), classes=CLASSES)


@pytest.mark.parametrize(
    ("name", "trunk", "arguments"),
    [
        ("fcn", "resnet18", {"stride": 16}),
        ("dilated", "vgg_narrow", {"context": "large"}),
        ("unet_narrow", "resnet18", {"skips": False, "borders": True}),
        ("segnet", "vgg_narrow", {"unpool": False}),
        ("deconvnet_narrow", "vgg_narrow", {}),
    ],
)
def test_every_form_can_be_written_down_and_built_again(name: str, trunk: str, arguments: dict[str, Any]) -> None:
    classes = Spec("vocabulary", {"names": list(CLASSES)})
    spec = Spec(name, {"trunk": Spec(trunk, {"weights": None}), "classes": classes, **arguments})
    system = Spec.from_json(spec.to_json()).build()
    again = builder(name)(trunk=builder(trunk)(), classes=CLASSES, **arguments)
    assert system.state_dict().keys() == again.state_dict().keys()
