"""`Frame` remembers what was done to a picture before the model."""

from dataclasses import dataclass

from allsight.scene.geometry import scaling
from allsight.scene.scene import Scene


@dataclass(frozen=True)
class Frame:
    """The sizes of a picture on its way into a model, so that answers come back in original pixels.

    The resized picture lies in the upper left corner of the padded one.

    Args:
        original: (height, width) of the picture as it was decoded.
        resized: (height, width) after scaling.
        padded: (height, width) that the model sees.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> "Frame":
        """Return the frame of a picture that goes into the model as it is."""
        return cls(size, size, size)

    @classmethod
    def fit(cls, original: tuple[int, int], longest: int, multiple: int = 32) -> "Frame":
        """Return the frame that scales the longer side to `longest` and pads both sides to a multiple.

        Args:
            original: (height, width) of the picture.
            longest: pixels of the longer side after scaling.
            multiple: the model's total stride.
        """
        scale = longest / max(original)
        height, width = (max(1, round(side * scale)) for side in original)
        padded = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
        return cls(original, (height, width), padded)

    @property
    def scale(self) -> tuple[float, float]:
        """Resized pixels per original pixel: (vertical, horizontal)."""
        return self.resized[0] / self.original[0], self.resized[1] / self.original[1]

    def to_model(self, scene: Scene) -> Scene:
        """Return a scene of the original picture as the model sees it."""
        return scene.affine(scaling(self.scale[1], self.scale[0]), self.padded)

    def to_original(self, scene: Scene) -> Scene:
        """Return a scene in the model's pixels as it lies on the original picture."""
        return scene.affine(scaling(1 / self.scale[1], 1 / self.scale[0]), self.original)
