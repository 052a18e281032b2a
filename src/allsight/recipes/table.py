"""The one explicit table of recipes: of each its settings, and what puts its job together."""

from collections.abc import Callable
from typing import Any

from allsight.errors import ModelError
from allsight.lookup import named

# name -> "module:dataclass"; the command line is made from it, and so it imports no torch.
RECIPES = {
    "retinanet": "allsight.recipes.detection.retinanet:RetinaNet",
    "nanodet": "allsight.recipes.detection.nanodet:NanoDet",
    "faster_rcnn": "allsight.recipes.detection.faster_rcnn:FasterRCNN",
    "mask_rcnn": "allsight.recipes.instances.mask_rcnn:MaskRCNN",
    "watershed": "allsight.recipes.instances.watershed:Watershed",
    "windows": "allsight.recipes.detection.windows:Windows",
    "segmenter": "allsight.recipes.segmentation.segmenter:Segmenter",
    "everyday": "allsight.recipes.whole.everyday:Everyday",
    "classifier": "allsight.recipes.classification.classifier:Classifier",
    "still_lifes": "allsight.recipes.whole.still_lifes:StillLifes",
    "digits": "allsight.recipes.classification.digits:Digits",
}

# name -> "module:function": what puts the job of the settings together is called `build` and stands beside them.
BUILDS = {name: f"{place.partition(':')[0]}:build" for name, place in RECIPES.items()}


def recipe_class(name: str) -> type[Any]:
    """Return the dataclass of a recipe, imported without torch.

    Raises:
        ModelError: no recipe is called so.
    """
    settings: type[Any] = named(RECIPES, name, "recipe")
    return settings


def build_of(settings: Any) -> Callable[[Any], Any]:
    """Return what puts the job of these settings together.

    Raises:
        ModelError: they are of no recipe of the table.
    """
    kind = type(settings)
    text = f"{kind.__module__}:{kind.__qualname__}"
    name = next((name for name, each in RECIPES.items() if each == text), None)
    if name is None:
        raise ModelError(f"{kind.__name__}: is no recipe of the table; say what builds it")
    build: Callable[[Any], Any] = named(BUILDS, name, "recipe")
    return build


def build(settings: Any) -> Any:
    """Check the data and put the job of these settings together; see `build_of`."""
    return build_of(settings)(settings)
