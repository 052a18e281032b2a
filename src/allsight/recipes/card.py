"""What the card of a model says before it is trained."""

from typing import Any, Protocol

from allsight.data.pictures.dataset import Dataset
from allsight.scene import Vocabulary

DESCRIBING = ("title", "about", "licence")  # settings that say what the card begins with, not how the model is trained


class Described(Protocol):
    """The settings of a recipe that describe its model."""

    @property
    def title(self) -> str:
        """Heading of the card."""
        ...

    @property
    def about(self) -> str:
        """What the card says of model and data."""
        ...

    @property
    def licence(self) -> str:
        """Licence of the weights."""
        ...


def card_of(recipe: Described, kind: str, classes: Vocabulary | None, train: Dataset, val: Dataset) -> dict[str, Any]:
    """Return title, description, task, data and licence; `kind` is what the classes are of: objects or tags."""
    return {
        "title": recipe.title,
        "description": recipe.about,
        "task": f"{kind}: {classes.summary() if classes else ''}",
        "data": f"{len(train)} pictures to learn from, {len(val)} held out",
        "licence": recipe.licence,
    }
