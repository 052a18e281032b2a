"""How raw input is brought to what a system takes: `Inputs`, and those of pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.data.pictures.reading import letterbox, read_picture
from allsight.errors import PictureError
from allsight.scene import Frame


class Inputs(Protocol):
    """What prepares one kind of raw input: a dataclass whose fields, as JSON, travel with a model.

    Attributes:
        kind: what it takes, as a word in the plural: "pictures", "clips".
    """

    kind: ClassVar[str]

    def prepare(self, raw: Any) -> tuple[Tensor, Any]:
        """Return what the system takes of one raw input, without the batch's dimension, and the place it comes from.

        Raises:
            AllsightError: it cannot be read, or is of another kind.
        """


@dataclass(frozen=True)
class PictureInputs:
    """Pictures, scaled and padded to the model's size.

    Args:
        longest: pixels of the longer side.
        multiple: both sides are padded to a multiple of this, the model's total stride.
        fill: RGB colour of the padding, the mean colour of the trunk's input.
    """

    kind: ClassVar[str] = "pictures"

    longest: int
    multiple: int = 32
    fill: tuple[int, int, int] = (127, 127, 127)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", tuple(self.fill))
        for name, value in (("longest", self.longest), ("multiple", self.multiple)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} {value} is not a number of pixels")
        if len(self.fill) != 3 or not all(isinstance(each, int) and 0 <= each <= 255 for each in self.fill):
            raise ValueError(f"fill {self.fill} is not a colour of three numbers from 0 to 255")

    def frame(self, size: tuple[int, int]) -> Frame:
        """Return what happens to a picture of (height, width)."""
        return Frame.fit(size, self.longest, self.multiple)

    def prepare(self, raw: Any, original: tuple[int, int] | None = None) -> tuple[Tensor, Frame]:
        """Scale and pad a picture.

        Args:
            raw: a path, the bytes of a file, a PIL picture, or uint8 RGB pixels: a tensor (3, H, W) or an array
                (H, W, 3).
            original: (height, width) of the picture, if `raw` was decoded at reduced scale.

        Returns:
            (3, *frame.padded) uint8, and the frame.

        Raises:
            PictureError: it cannot be read, or is none of these.
        """
        picture = pixels(raw)
        frame = self.frame(original or (picture.shape[-2], picture.shape[-1]))
        return letterbox(picture, frame, self.fill), frame


def pixels(picture: Any) -> Tensor:
    """Return a picture in any of the forms that `PictureInputs.prepare` takes as (3, H, W) uint8 RGB.

    Raises:
        PictureError: it cannot be read, or is none of these.
    """
    if isinstance(picture, str | Path | bytes):
        return read_picture(picture)
    if isinstance(picture, Image.Image):
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    if isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    if isinstance(picture, Tensor) and picture.ndim == 3 and len(picture) == 3 and picture.dtype == torch.uint8:
        return picture
    shape = getattr(picture, "shape", type(picture).__name__)
    raise PictureError(f"{shape}: not a picture; give a path, a PIL picture, uint8 (3, H, W) or an array (H, W, 3)")
