"""What kind of picture a microscope gave, told from the pixels alone."""

from typing import Literal

from torch import Tensor

Kind = Literal["dark", "bright", "colour"]
COLOURED = 6.0  # grey levels; the mean difference of the channels is 0 in grey pictures and 15 in the palest stain
BRIGHT = 128


def picture_kind(picture: Tensor) -> Kind:
    """Tell a picture's kind: "dark" (fluorescence), "bright" (grey, transmitted light) or "colour" (stained tissue).

    Args:
        picture: (3, H, W) uint8 RGB.

    Returns:
        "colour" if its channels differ, else by the grey of most of it, which is the background.
    """
    values = picture.float()
    if float((values.amax(0) - values.amin(0)).mean()) > COLOURED:
        return "colour"
    return "bright" if float(values.mean(0).median()) >= BRIGHT else "dark"
