"""How a Scene shows itself, in a notebook or when asked to: `allsight.scene` itself can neither read nor draw."""

import io
from typing import Any

from PIL import Image
from torch import Tensor

from allsight.data.inputs import pixels
from allsight.data.pictures.reading import read_picture
from allsight.draw import draw
from allsight.errors import PictureError
from allsight.scene import Scene
from allsight.scene.showing import hand_in


class Brush:
    """Reads whatever a model may be asked about, and draws: see `allsight.scene.showing.Studio`."""

    def pixels(self, picture: Any) -> Tensor:
        """Return (3, H, W) uint8."""
        return pixels(picture)

    def drawn(self, picture: Tensor, scene: Scene) -> Tensor:
        """Return the picture with what the scene says."""
        return draw(picture, scene)


def painted(scene: Scene) -> bytes | None:
    """Return a PNG of the scene on its picture; None if the scene does not come from a file that can be read."""
    if scene.source is None:
        return None
    try:
        picture = draw(read_picture(scene.source), scene)
    except PictureError:
        return None
    memory = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(memory, "PNG")
    return memory.getvalue()


def show_in_notebooks() -> None:
    """From now on a Scene is shown as its picture by whatever displays PNGs (Jupyter, IPython), and can be drawn."""
    Scene.painter = painted
    hand_in(Brush())
