"""Activation maps against their identities and hand-made cases."""

import pytest
import torch

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import freeze
from allsight.data.pictures.reading import resize
from allsight.models.classification.tags import TagHead
from allsight.models.explanations import class_activation_map, grad_cam, locate, tag
from allsight.models.vision import Vision
from allsight.scene import Vocabulary
from allsight.weights.imagenet import imagenet_classes


@pytest.fixture(scope="module")
def imagenet():
    trunk = efficientnet_lite0()
    layer = trunk.get_submodule("_fc")
    head = TagHead(source="head", classifier=layer, classes=Vocabulary(imagenet_classes()))
    return Vision(trunk=trunk.cut("head"), heads={"tags": head}).eval()


def test_activation_map_is_a_weighted_sum_without_its_negative_part():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    found = class_activation_map(features, torch.tensor([[2.0, -1.0]]))
    assert found.tolist() == [[[0.0, 5.0]]]


def test_grad_cam_of_a_linear_classifier_on_the_average_is_the_activation_map(imagenet):
    # Selvaraju et al. 2017, section 3.1: Grad-CAM generalises CAM. The gradient of a logit is weight / cells.
    pictures = torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8)
    found = grad_cam(imagenet, pictures, tag(7), layer="head")
    with torch.no_grad():
        features = imagenet(pictures).features["head"]
        expected = class_activation_map(features, imagenet.heads["tags"].classifier.weight[7]) / features[0, 0].numel()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_grad_cam_reaches_through_frozen_stages_and_leaves_no_trace(imagenet):
    freeze(imagenet.trunk, "head")
    pictures = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode(False), torch.no_grad():
        heat = grad_cam(imagenet, pictures, tag(3), layer="c4")
    assert heat.shape == (1, 4, 4)
    assert heat.isfinite().all()
    assert "c4" not in imagenet(pictures).features


def test_locate_boxes_the_largest_warm_piece():
    heat = torch.zeros(8, 8)
    heat[1, 1] = 1.0
    heat[4:7, 3:7] = 0.9
    box, mask = locate(heat, (80, 80), share=0.5)
    x1, y1, x2, y2 = box.tolist()
    assert 25 <= x1 <= 35
    assert 35 <= y1 <= 45
    assert 65 <= x2 <= 75
    assert 65 <= y2 <= 75
    assert mask[50, 50]
    assert not mask[15, 15]


def test_locate_of_a_cold_map_is_empty():
    box, mask = locate(torch.zeros(3, 3), (30, 30))
    assert box.tolist() == [0, 0, 0, 0]
    assert not mask.any()


def test_the_cat_is_where_the_cat_is(imagenet):
    data = pytest.importorskip("skimage.data", reason="scikit-image carries the photograph")
    picture = torch.from_numpy(data.chelsea()).permute(2, 0, 1).contiguous()
    small = resize(picture, (224, 320))
    label = imagenet_classes().index("Egyptian cat")
    with torch.no_grad():
        outputs = imagenet(small[None])
        heat = class_activation_map(outputs.features["head"], imagenet.heads["tags"].classifier.weight[label])[0]
    assert outputs.heads["tags"].logits.topk(5).indices[0].tolist().count(label) == 1
    box, _ = locate(heat, (224, 320))
    # The face fills the middle left of the picture.
    x1, y1, x2, y2 = box.tolist()
    assert x1 < 140 < x2
    assert y1 < 110 < y2
