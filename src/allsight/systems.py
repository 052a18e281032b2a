"""The one explicit table: name -> "module:builder". Text, so that help needs no torch."""

from collections.abc import Callable
from typing import Any

from allsight.lookup import named

SYSTEMS = {
    "retinanet": "allsight.models.detection.retinanet:retinanet",
    "retinanet_narrow": "allsight.models.detection.retinanet:retinanet_narrow",
    "faster_rcnn_c4": "allsight.models.detection.faster_rcnn:faster_rcnn_c4",
    "faster_rcnn_fpn": "allsight.models.detection.faster_rcnn:faster_rcnn_fpn",
    "faster_rcnn_narrow": "allsight.models.detection.faster_rcnn:faster_rcnn_narrow",
    "mask_rcnn_fpn": "allsight.models.instances.mask_rcnn:mask_rcnn_fpn",
    "mask_rcnn_narrow": "allsight.models.instances.mask_rcnn:mask_rcnn_narrow",
    "watershed_net": "allsight.models.instances.watershed:watershed_net",
    "windows": "allsight.models.detection.windows:windows",
    "nanodet_plus": "allsight.models.detection.nanodet:nanodet_plus",
    "classifier": "allsight.models.classification.tags:classifier",
    "fpn_regions": "allsight.models.segmentation.fpn:fpn_regions",
    "fpn_regions_narrow": "allsight.models.segmentation.fpn:fpn_regions_narrow",
    "fcn": "allsight.models.segmentation.fcn:fcn",
    "fcn_vgg": "allsight.models.segmentation.fcn:fcn_vgg",
    "dilated": "allsight.models.segmentation.dilated:dilated",
    "dilated_vgg": "allsight.models.segmentation.dilated:dilated_vgg",
    "unet": "allsight.models.segmentation.unet:unet",
    "unet_narrow": "allsight.models.segmentation.unet:unet_narrow",
    "segnet": "allsight.models.segmentation.segnet:segnet",
    "deconvnet": "allsight.models.segmentation.deconvnet:deconvnet",
    "deconvnet_narrow": "allsight.models.segmentation.deconvnet:deconvnet_narrow",
    "everyday": "allsight.models.whole.everyday:everyday",
    "sees_all": "allsight.models.whole.everything:sees_all",
    "digit_net": "allsight.models.classification.digits:digit_net",
}

_PICTURES = "allsight.backbones.pictures"
TRUNKS = {
    **{f"efficientnet_lite{i}": f"{_PICTURES}.efficientnet_lite:efficientnet_lite{i}" for i in range(3)},
    **{f"resnet{i}": f"{_PICTURES}.resnet:resnet{i}" for i in (18, 34, 50, 101, 152)},
    **{f"vgg{i}{norm}": f"{_PICTURES}.vgg:vgg{i}{norm}" for i in (11, 13, 16, 19) for norm in ("", "_bn")},
    "shufflenet_v2": f"{_PICTURES}.shufflenet:shufflenet_v2",
    "googlenet": f"{_PICTURES}.googlenet:googlenet",
    "inception_v3": f"{_PICTURES}.inception:inception_v3",
    **{name: f"{_PICTURES}.contracting:{name}" for name in ("unet_encoder", "vgg_narrow")},
}

INPUTS = {"pictures": "allsight.data.inputs:PictureInputs"}

PARTS = {"vocabulary": "allsight.scene:Vocabulary"}


def builder(name: str) -> Callable[..., Any]:
    """Return the function behind a name.

    Raises:
        ModelError: no system, trunk, inputs or part is called so.
    """
    function: Callable[..., Any] = named({**SYSTEMS, **TRUNKS, **INPUTS, **PARTS}, name, "system or trunk")
    return function
