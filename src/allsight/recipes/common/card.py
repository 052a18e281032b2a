"""What the card of a model says before it is trained, and how long it says that took."""

from typing import Any

import torch

from allsight.data.pictures.dataset import Dataset
from allsight.recipes.common.settings import Described
from allsight.scene import Vocabulary

DESCRIBING = ("title", "about", "licence")  # settings that say what the card begins with, not how the model is trained


def card_of(recipe: Described, kind: str, classes: Vocabulary | None, train: Dataset, val: Dataset) -> dict[str, Any]:
    """Return title, description, task, data and licence; `kind` is what the classes are of: objects or tags."""
    return {
        "title": recipe.title,
        "description": recipe.about,
        "task": f"{kind}: {classes.summary() if classes else ''}",
        "data": f"{len(train)} pictures to learn from, {len(val)} held out",
        "licence": recipe.licence,
    }


def duration(seconds: float) -> str:
    """Return a time of learning as cards have it, with the threads that it was measured on."""
    threads = torch.get_num_threads()
    return f"{seconds / 60:.1f} minutes on {threads} thread{'s' if threads > 1 else ''}"
