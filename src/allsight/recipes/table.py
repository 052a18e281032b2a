"""The one explicit table of recipes: name -> "module:dataclass"."""

from typing import Any

from allsight.lookup import named

RECIPES = {
    "retinanet": "allsight.recipes.retinanet:RetinaNet",
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
    recipe: type[Any] = named(RECIPES, name, "recipe")
    return recipe
