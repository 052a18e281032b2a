"""The one explicit table: name -> "module:builder". Text, so that help needs no torch."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from allsight.errors import ModelError

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
    **{
        name: f"allsight.backbones.pictures.efficientnet_lite:{name}"
        for name in (f"efficientnet_lite{i}" for i in range(3))
    },
<<<<<<< ours
    **{name: f"allsight.backbones.pictures.resnet:{name}" for name in (f"resnet{i}" for i in (18, 34, 50, 101, 152))},
    **{
        f"vgg{i}{norm}": f"allsight.backbones.pictures.vgg:vgg{i}{norm}"
        for i in (11, 13, 16, 19)
        for norm in ("", "_bn")
    },
    "googlenet": "allsight.backbones.pictures.googlenet:googlenet",
    "shufflenet_v2": "allsight.backbones.pictures.shufflenet:shufflenet_v2",
    "inception_v3": "allsight.backbones.pictures.inception:inception_v3",
    **{name: f"allsight.backbones.pictures.contracting:{name}" for name in ("unet_encoder", "vgg_narrow")},
=======
    **{f"resnet{i}": f"{_PICTURES}.resnet:resnet{i}" for i in (18, 34, 50, 101, 152)},
    **{f"vgg{i}{norm}": f"{_PICTURES}.vgg:vgg{i}{norm}" for i in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet": f"{_PICTURES}.googlenet:googlenet",
    "inception_v3": f"{_PICTURES}.inception:inception_v3",
    **{name: f"{_PICTURES}.contracting:{name}" for name in ("unet_encoder", "vgg_narrow")},
>>>>>>> theirs
}

PARTS = {"vocabulary": "allsight.scene:Vocabulary"}


def builder(name: str) -> Callable[..., Any]:
    """Return the function behind a name.

    Raises:
        ModelError: no system, trunk or part is called so.
    """
    table = {**SYSTEMS, **TRUNKS, **PARTS}
    if name not in table:
        raise ModelError(f"no system or trunk is called {name!r}; there are {', '.join(table)}")
    module, _, function = table[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
