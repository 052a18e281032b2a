"""How a Scene shows itself in a notebook."""

import io

from PIL import Image

from allsight.data.pictures.reading import read_picture
from allsight.draw import draw
from allsight.errors import PictureError
from allsight.scene import Scene


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
    """From now on a Scene is shown as its picture by whatever displays PNGs (Jupyter, IPython)."""
    Scene.painter = painted
