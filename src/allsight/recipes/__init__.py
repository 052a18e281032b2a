"""Recipes: one file a system, everything needed to train it, as a dataclass. Text, so that help needs no torch."""

from allsight.recipes.table import RECIPES, recipe_class

__all__ = ["RECIPES", "recipe_class"]
