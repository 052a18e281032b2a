"""What the settings of a recipe may be, checked before any work is done. Imports no torch."""

from itertools import pairwise
from math import inf
from typing import Any

from allsight.errors import TrainingError

# Least and greatest value of a setting by its name, which means the same in every recipe.
RANGES: dict[str, tuple[float, float]] = {
    "shots": (0, inf),
    "resamples": (1, 1000),
    "views": (1, 1000),
    "steps": (0, inf),
    "cache_gib": (0, inf),
    "seed": (0, 2**32 - 1),
    "longest": (32, 8192),
    "crop": (0.1, 1),
    "scale": (0.01, 100),
    "frozen_scale": (0.01, 100),
    "epochs": (1, inf),
    "frozen_epochs": (1, inf),
    "tuned_epochs": (0, inf),
    "lovasz_epochs": (0, inf),
    "batch_size": (1, 4096),
    "frozen_batch": (1, 4096),
    "learning_rate": (0, 100),
    "frozen_rate": (0, 100),
    "tuned_rate": (0, 100),
    "trunk_rate": (0, 100),
    "localisation_rate": (0, 100),
    "weight_decay": (0, 100),
    "lovasz_weight": (0, 100),
    "ema_decay": (0, 1),
    "smoothing": (0, 1),
    "jitter": (0, 1000),
    "evaluate_every": (1, inf),
    "checkpoint_seconds": (0, inf),
    "pictures": (0, inf),
    "transformers": (0, 16),
    "filters": (1, 4096),
    "hidden": (0, 65536),
    "rounds": (0, 100),
    "proposed": (1, 100_000),
    "most": (1, 100_000),
    "anchor_size": (0.01, 1000),
}


def check_ranges(recipe: Any) -> None:
    """Refuse settings that make no sense, each by its name on the command line.

    Args:
        recipe: any dataclass; of a setting that is a pair, the first one may not be greater than the second.

    Raises:
        TrainingError: a value is not a number, or outside its range; a pair is in the wrong order.
    """
    for name, (least, most) in RANGES.items():
        value = getattr(recipe, name, least)
        values = value if isinstance(value, tuple) else (value,)
        said = f"--{name.replace('_', '-')} {' '.join(map(str, values))}"
        if not all(least <= each <= most for each in values):  # NaN is neither
            limits = f"at least {least}" if most == inf else f"from {least} to {most}"
            raise TrainingError(f"{said}: must be {limits}")
        if any(low > high for low, high in pairwise(values)):
            raise TrainingError(f"{said}: must begin with the least; give it in order")
