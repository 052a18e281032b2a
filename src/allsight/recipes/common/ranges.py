"""What the settings of a recipe may be: on each field, checked before any work is done. Imports no torch."""

from dataclasses import dataclass, fields
from inspect import get_annotations
from itertools import pairwise
from math import inf
from typing import Any

from allsight.errors import TrainingError


@dataclass(frozen=True)
class Within:
    """The least and the greatest value of a setting, `Annotated[int, Within(1, 1000)]`; of a pair, that of either."""

    least: float
    most: float = inf

    def __str__(self) -> str:
        """Say it to a person."""
        return f"at least {self.least}" if self.most == inf else f"from {self.least} to {self.most}"


def ranges(settings: type[Any]) -> dict[str, Within]:
    """Return the ranges of a dataclass of settings by name; one that has only another default keeps the range."""
    nearest: dict[str, Within] = {}
    for one in reversed(settings.__mro__):
        for name, annotation in get_annotations(one).items():
            nearest.update((name, each) for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Within))
    return {field.name: nearest[field.name] for field in fields(settings) if field.name in nearest}


def check_ranges(settings: Any) -> None:
    """Refuse settings that make no sense, each by its name on the command line.

    Args:
        settings: any dataclass; of a setting that is a pair, the first one may not be greater than the second.

    Raises:
        TrainingError: a value is not a number, or outside its range; a pair is in the wrong order.
    """
    for name, range_ in ranges(type(settings)).items():
        value = getattr(settings, name)
        values = value if isinstance(value, tuple) else (value,)
        option = f"--{name.replace('_', '-')} {' '.join(map(str, values))}"
        if not all(range_.least <= each <= range_.most for each in values):  # NaN is neither
            raise TrainingError(f"{option}: must be {range_}")
        if any(low > high for low, high in pairwise(values)):
            raise TrainingError(f"{option}: must begin with the least; give it in order")
