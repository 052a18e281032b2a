"""Our Faster R-CNN and RetinaNet against torchvision's published layout, conventions and answers."""

import gzip
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from allsight.backbones.pictures.resnet import resnet50
from allsight.errors import WeightsError
from allsight.models.detection.faster_rcnn import faster_rcnn_fpn
from allsight.models.detection.retinanet import retinanet
from allsight.models.detection.torchvision_keys import (
    TorchvisionAnchors,
    load_published,
    published_classes,
    torchvision_key,
)
from allsight.models.instances.mask_rcnn import mask_rcnn_fpn
from allsight.scene import Frame, Vocabulary
from allsight.weights.files import load_state
from torchvision_reference import detection_models

# Name and shape of every tensor in the state dicts of torchvision 0.28.
KEYS = json.loads(gzip.decompress(Path(__file__).with_name("torchvision_detector_keys.json.gz").read_bytes()))
BUILDERS = {
    "fasterrcnn_resnet50_fpn": faster_rcnn_fpn,
    "retinanet_resnet50_fpn": retinanet,
    "maskrcnn_resnet50_fpn": mask_rcnn_fpn,
}
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers between 1 and 90 that COCO has no class for
COCO_IDS = tuple(number for number in range(1, 91) if number not in UNUSED)
COCO = Vocabulary(tuple(f"class {number}" for number in COCO_IDS), COCO_IDS)
CLASSES = {name: published_classes(COCO, 0 if name.startswith("retinanet") else 1) for name in BUILDERS}


def built(name, classes=None):
    return BUILDERS[name](trunk=resnet50(), classes=classes or CLASSES[name], torchvision=True)


def published_name(name):
    """How the published files, which are older, call what torchvision's modules call `name` today."""
    name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name).replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    if hidden := re.fullmatch(r"roi_heads\.mask_head\.(\d)\.0\.(\w+)", name):
        return f"roi_heads.mask_head.mask_fcn{int(hidden[1]) + 1}.{hidden[2]}"
    if "_head.conv." in name:
        head, number, _, kind = name.rsplit(".", 3)
        return f"{head}.{2 * int(number)}.{kind}"
    return name


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("rename", [lambda key: key, published_name], ids=["modules", "files"])
def test_every_tensor_finds_its_place(name, rename):
    with torch.device("meta"):
        ours = {key: list(value.shape) for key, value in built(name).state_dict().items()}
    theirs = {torchvision_key(rename(key)): shape for key, shape in KEYS[name].items()}
    assert ours == theirs


def test_old_names_are_those_of_the_published_files():
    # A few that stand in fasterrcnn_resnet50_fpn_coco-258fb6c6.pth and retinanet_resnet50_fpn_coco-eeacb38b.pth.
    renamed = {published_name(key) for keys in KEYS.values() for key in keys}
    assert {
        "backbone.body.layer1.0.downsample.0.weight",
        "backbone.fpn.inner_blocks.0.weight",
        "backbone.fpn.layer_blocks.2.bias",
        "backbone.fpn.extra_blocks.p6.weight",
        "rpn.head.conv.weight",
        "head.classification_head.conv.6.weight",
        "roi_heads.mask_head.mask_fcn4.bias",
        "roi_heads.mask_predictor.conv5_mask.weight",
    } <= renamed


def test_a_published_checkpoint_loads_by_its_path(tmp_path):
    name = "retinanet_resnet50_fpn"
    path = tmp_path / "retinanet.safetensors"
    state = {published_name(key): torch.rand(shape) for key, shape in KEYS[name].items() if shape}
    save_file(state, path)
    system = built(name)
    load_published(system, path)
    loaded = system.state_dict()
    assert torch.equal(
        loaded["heads.objects.classification.last.weight"], state["head.classification_head.cls_logits.weight"]
    )
    # They were trained without eps under the root: the affine map of a batch norm has to be the same.
    norm, old = (
        system.trunk.bn1,
        {key: state[f"backbone.body.bn1.{key}"] for key in ("weight", "bias", "running_mean", "running_var")},
    )
    x = torch.randn(1, 64, 3, 3)
    wanted = torch.batch_norm(x, *old.values(), False, 0.0, 0.0, False)
    torch.testing.assert_close(norm.eval()(x), wanted, rtol=1e-4, atol=1e-4)
    with pytest.raises(WeightsError, match="another architecture"):
        load_published(built("fasterrcnn_resnet50_fpn"), path)


def test_classes_have_the_numbers_of_the_files():
    faster, retina = CLASSES["fasterrcnn_resnet50_fpn"], CLASSES["retinanet_resnet50_fpn"]
    assert (len(faster), len(retina)) == (90, 91)
    assert faster[0] == retina[1] == "class 1"
    assert faster[89] == retina[90] == "class 90"
    assert faster.names[11] == "unused 12"


def test_anchors_of_whole_pixels_as_the_published_weights_know_them():
    # generate_anchors for sizes 32, 40, 50 and ratios 0.5, 1, 2 prints these; the second cell stands a stride further.
    anchors = TorchvisionAnchors((8,))([(1, 2)])
    assert anchors[:9].tolist() == [
        [-23, -11, 23, 11],
        [-28, -14, 28, 14],
        [-35, -18, 35, 18],
        [-16, -16, 16, 16],
        [-20, -20, 20, 20],
        [-25, -25, 25, 25],
        [-11, -23, 11, 23],
        [-14, -28, 14, 28],
        [-18, -35, 18, 35],
    ]
    assert torch.equal(anchors[9:] - anchors[:9], torch.tensor([8.0, 0, 8, 0]).expand(9, 4))


def disturbed(reference):
    """Random weights of which every layer's answer has an everyday size."""
    for norm in reference.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            norm.weight.data.uniform_(0.2, 0.5)
    return reference.eval()


def louder(layer, factor):
    layer.weight.data.mul_(factor)


@pytest.fixture
def picture():
    # Sides are multiples of p7's stride: see TorchvisionAnchors.
    return torch.randint(0, 256, (1, 3, 128, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def two_stages(models, name):
    """Torchvision's detector with random weights by which it sees many objects, and ours with the same weights."""
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": 6, "min_size": 128, "max_size": 256}
    reference = disturbed(getattr(models, name)(**options, rpn_post_nms_top_n_test=200))
    louder(reference.rpn.head.cls_logits, 30)
    louder(reference.rpn.head.bbox_pred, 5)
    louder(reference.roi_heads.box_predictor.cls_score, 100)
    louder(reference.roi_heads.box_predictor.bbox_pred, 20)
    system = built(name, Vocabulary(tuple("abcde"))).eval()
    system.heads["objects"].proposed = 200
    load_state(system, reference.state_dict(), source="torchvision", rename=torchvision_key)
    return reference, system


@torch.no_grad()
def test_faster_rcnn_answers_equally_on_the_same_random_weights(monkeypatch, picture):
    reference, system = two_stages(detection_models(monkeypatch), "fasterrcnn_resnet50_fpn")
    seen = {}
    reference.rpn.register_forward_hook(lambda module, given, answer: seen.update(proposals=answer[0][0]))
    reference.roi_heads.box_predictor.register_forward_hook(lambda module, given, answer: seen.update(regions=answer))
    (wanted,) = reference([picture[0] / 255])
    outputs = system(picture).heads["objects"]
    assert len(seen["proposals"]) == int(outputs.proposals.valid.sum()) == 200
    # Where scores are equal but for rounding, proposals may have changed places.
    distance, place = torch.cdist(seen["proposals"], outputs.proposals.boxes[0], p=torch.inf).min(1)
    assert float(distance.max()) < 1e-3 and len(place.unique()) == 200
    torch.testing.assert_close(outputs.logits[0, place], seen["regions"][0], atol=1e-4, rtol=0)
    torch.testing.assert_close(outputs.deltas[0, place].flatten(1), seen["regions"][1], atol=1e-4, rtol=0)
    (found,) = system.heads["objects"].decode(outputs, [Frame.whole((128, 256))])
    assert len(found) == len(wanted["boxes"]) > 0
    torch.testing.assert_close(found.boxes, wanted["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(found.scores, wanted["scores"], atol=1e-5, rtol=0)
    assert torch.equal(found.labels + 1, wanted["labels"])


@torch.no_grad()
def test_mask_rcnn_answers_equally_on_the_same_random_weights(monkeypatch, picture):
    reference, system = two_stages(detection_models(monkeypatch), "maskrcnn_resnet50_fpn")
    seen = {}
    reference.roi_heads.mask_predictor.register_forward_hook(lambda module, given, answer: seen.update(masks=answer))
    (wanted,) = reference([picture[0] / 255])
    outputs = system(picture).heads["objects"]
    count = len(wanted["boxes"])
    assert count > 0
    torch.testing.assert_close(outputs.boxes[0, :count], wanted["boxes"], atol=1e-3, rtol=0)
    of_labels = seen["masks"][torch.arange(count), wanted["labels"]]
    torch.testing.assert_close(outputs.masks[0, :count], of_labels, atol=1e-3, rtol=0)


@torch.no_grad()
def test_retinanet_answers_equally_on_the_same_random_weights(monkeypatch, picture):
    models = detection_models(monkeypatch)
    torch.manual_seed(0)
    name = "retinanet_resnet50_fpn"
    options = {"weights": None, "weights_backbone": None, "num_classes": 4, "min_size": 128, "max_size": 256}
    reference = disturbed(getattr(models, name)(**options))
    louder(reference.head.classification_head.cls_logits, 3)
    system = built(name, Vocabulary(tuple("abcd"))).eval()
    load_state(system, reference.state_dict(), source="torchvision", rename=torchvision_key)
    seen = {}
    reference.head.register_forward_hook(lambda module, given, answer: seen.update(answer))
    reference.anchor_generator.register_forward_hook(lambda module, given, answer: seen.update(anchors=answer[0]))
    reference([picture[0] / 255])
    outputs = system(picture).heads["objects"]
    assert torch.equal(outputs.anchors, seen["anchors"])
    torch.testing.assert_close(outputs.logits, seen["cls_logits"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outputs.deltas, seen["bbox_regression"], atol=1e-4, rtol=1e-4)
