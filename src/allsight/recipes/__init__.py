"""Recipes: a dataclass of settings and a function that builds its job. Named by texts, so that help needs no torch."""

from allsight.recipes.table import RECIPES, build, recipe_class

__all__ = ["RECIPES", "build", "recipe_class"]
