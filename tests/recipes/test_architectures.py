"""Every architecture for regions trains by its recipe, is saved and comes back; wrong trunks are told in one line."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from allsight import hub
from allsight.cli.main import main
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import ModelError
from allsight.models.segmentation.unet import BorderedRegionHead
from allsight.predict import Predictor
from allsight.recipes.run import train
from allsight.recipes.segmentation.segmenter import BUILDERS, Architecture, Segmenter, build
from allsight.scene import Scene, Vocabulary
from allsight.systems import SYSTEMS

SMALL = {"trunk": "vgg_narrow", "longest": 64, "epochs": 1, "batch_size": 2, "precision": "float32", "crop": 1.0}


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a light field under a dark one, 61 pixels wide: no multiple of any stride."""
    root, classes = tmp_path_factory.mktemp("fields"), Vocabulary(("dark", "light"))
    random = np.random.default_rng(0)
    parts = {}
    for split, count in (("train", 4), ("val", 2)):
        examples = []
        for i in range(count):
            regions = (torch.arange(48) > 10 + 6 * i)[:, None].expand(48, 61).long()
            pixels = torch.from_numpy(random.integers(0, 50, (3, 48, 61))) + 180 * regions
            scene = Scene((48, 61), regions=regions, region_classes=classes)
            examples.append(Example(Path(f"{split}{i}.png"), scene, pixels=pixels.to(torch.uint8)))
        parts[split] = Dataset(tuple(examples), region_classes=classes)
    write_datasets(parts, root / "set", "regions")
    return root / "set"


def test_every_choice_has_builders_in_the_table() -> None:
    assert set(BUILDERS) == set(get_args(Architecture))
    assert {name for narrow, paper, _ in BUILDERS.values() for name in (narrow, paper)} <= set(SYSTEMS)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_it_trains_and_comes_back(architecture: Architecture, fields: Path, tmp_path: Path) -> None:
    recipe = Segmenter(data=fields, architecture=architecture, **SMALL)
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert 0 <= scores["mean IoU"] <= 1
    model = hub.load(tmp_path / "run")
    assert model.spec.builder == BUILDERS[architecture][0]
    # Answers are as large as the picture, whatever its sides.
    Image.new("RGB", (61, 48)).save(tmp_path / "one.png")
    scene = Predictor(model)(tmp_path / "one.png")
    assert scene.regions is not None
    assert tuple(scene.regions.shape) == (48, 61)


def test_the_paper_s_form_is_another_builder(fields: Path) -> None:
    recipe = Segmenter(data=fields, architecture="unet", form="paper", **SMALL)
    model = build(recipe).model
    assert model.spec.builder == "unet"
    head = model.system.heads["regions"]
    assert isinstance(head, BorderedRegionHead)
    assert [up.out_channels for up in head.decoder.upsampling] == [128, 64, 32, 16]  # as wide as the trunk


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_the_dilated_net_has_a_twin_with_the_trunk_s_own_strides(output_stride, fields: Path) -> None:
    settings = SMALL | {"trunk": "resnet18"}
    recipe = Segmenter(data=fields, architecture="front_end", output_stride=output_stride, **settings)
    system = build(recipe).model.system
    logits = system(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).heads["regions"].logits
    assert logits.shape[-1] == 64 // output_stride
    parameters = sum(parameter.numel() for parameter in system.parameters())
    strided = build(Segmenter(data=fields, architecture="fcn32s", **settings)).model.system
    assert parameters == sum(parameter.numel() for parameter in strided.parameters())


@pytest.mark.parametrize(
    ("architecture", "form", "message"),
    [("segnet", "narrow", "no pooling indices"), ("fcn8s", "paper", "no linear layers")],
)
def test_trunks_that_do_not_fit_are_refused(architecture, form, message, fields: Path) -> None:
    recipe = Segmenter(data=fields, architecture=architecture, form=form, **SMALL | {"trunk": "resnet18"})
    with pytest.raises(ModelError, match=message) as caught:
        build(recipe)
    assert "\n" not in str(caught.value)


def test_the_command_knows_the_architectures(fields: Path, tmp_path: Path) -> None:
    words = ["train", "segmenter", str(fields), "--out", str(tmp_path / "run"), "--architecture", "fcn16s"]
    words += ["--trunk", "vgg_narrow", "--longest", "64", "--epochs", "1", "--batch-size", "2", "--crop", "1"]
    assert main(words) == 0
    assert hub.load(tmp_path / "run").spec.arguments["stride"] == 16
