"""`Job`: what a recipe builds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from allsight.hub import Model


class Job(Protocol):
    """A learning of any kind, ready to start: stages of a training, several trainings, a fit in closed form, ..."""

    @property
    def model(self) -> Model:
        """What learns, with what travels with its weights; it is saved once the job has run."""
        ...

    def run(self, out: Path, resume: bool, say: Callable[[str], None]) -> dict[str, float]:
        """Learn, and return the scores of the model as it then is, the deciding one first.

        What the job itself knows of the run it writes on the model's card: "duration", where it is not all of the time
        that this call took. A card that has scores already stays as it is: runs inside of this one have written it.

        Args:
            out: the run's folder. resume: go on with what stands there. say: is handed lines for a person.
        """
        ...


def leads() -> bool:
    """Tell whether this is the process that speaks and writes, of several that torchrun started."""
    return int(os.environ.get("RANK", 0)) == 0
