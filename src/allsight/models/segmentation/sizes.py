"""Maps of several strides meet only where the picture's sides are multiples of the total stride."""

from collections.abc import Mapping

from allsight.errors import ModelError
from allsight.models.vision import Features


def check_sizes(features: Features, strides: Mapping[str, int]) -> None:
    """Refuse pictures whose sides are no multiples of the greatest stride.

    Args:
        features: maps by name.
        strides: of the maps to look at, by name.

    Raises:
        ModelError: they are not; says what to pad to.
    """
    finest, coarsest = min(strides, key=strides.__getitem__), max(strides.values())
    sides = [side * strides[finest] for side in features[finest].shape[-2:]]
    for name, stride in strides.items():
        if any(side * stride != whole for side, whole in zip(features[name].shape[-2:], sides, strict=True)):
            height, width = (-(-side // coarsest) * coarsest for side in sides)
            raise ModelError(
                f"pictures of {sides[0]}x{sides[1]} do not fit the strides of {', '.join(strides)}; "
                f"pad both sides to a multiple of {coarsest}, here to {height}x{width} (height x width); "
                "maps of Inception-v3, which does not pad, never fit"
            )
