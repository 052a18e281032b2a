"""The one explicit table of recipes: name -> "module:dataclass"."""

from importlib import import_module
from typing import Any

from allsight.errors import ModelError

RECIPES = {
    "retinanet": "allsight.recipes.retinanet:RetinaNet",
    "nanodet": "allsight.recipes.nanodet:NanoDet",
    "faster_rcnn": "allsight.recipes.faster_rcnn:FasterRCNN",
    "mask_rcnn": "allsight.recipes.mask_rcnn:MaskRCNN",
    "watershed": "allsight.recipes.watershed:Watershed",
    "windows": "allsight.recipes.windows:Windows",
    "segmenter": "allsight.recipes.segmenter:Segmenter",
    "everyday": "allsight.recipes.everyday:Everyday",
    "classifier": "allsight.recipes.classifier:Classifier",
    "still_lifes": "allsight.recipes.still_lifes:StillLifes",
    "digits": "allsight.recipes.digits:Digits",
}


def recipe_class(name: str) -> type[Any]:
    """Return the dataclass of a recipe, imported without torch.

    Raises:
        ModelError: no recipe is called so.
    """
    if name not in RECIPES:
        raise ModelError(f"no recipe is called {name!r}; `allsight train` knows {', '.join(RECIPES)}")
    module, _, attribute = RECIPES[name].partition(":")
    found: type[Any] = getattr(import_module(module), attribute)
    return found
