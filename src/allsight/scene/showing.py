"""Scenes drawn and saved, by a reader of pictures and a brush that live on higher floors and are handed in."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from allsight.errors import AnnotationError, PictureError
from allsight.files import atomic, write_text

if TYPE_CHECKING:
    from allsight.scene.scene import Scene

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
QUALITY = 90  # of a JPEG


class Studio(Protocol):
    """What reads pictures and draws."""

    def pixels(self, picture: Any) -> Tensor:
        """Return (3, H, W) uint8 of a path, bytes, a PIL picture, a tensor or an array."""

    def drawn(self, picture: Tensor, scene: "Scene") -> Tensor:
        """Return the picture (3, H, W) with what the scene says painted over it."""


_studio: Studio | None = None


def hand_in(studio: Studio) -> None:
    """From now on scenes are drawn by this studio: `allsight.predict` hands in its own when it is imported."""
    global _studio
    _studio = studio


def pixels_of(scene: "Scene", picture: Any) -> Tensor:
    """Return the pixels (3, H, W) of a scene's picture, as given or, for None, read from where the scene lies.

    Raises:
        PictureError: no picture is known, it cannot be read or is of another size.
    """
    if picture is None:
        picture = scene.source
    if picture is None:
        raise PictureError("a scene without a source: give the picture as well")
    pixels = _the_studio().pixels(picture)
    if tuple(pixels.shape[1:]) != tuple(scene.size):
        raise PictureError(
            f"{scene.source or 'picture'}: is {tuple(pixels.shape[1:])} pixels high and wide but its scene"
            f" {tuple(scene.size)}; give the scene's own picture"
        )
    return pixels


def image_of(scene: "Scene", picture: Any) -> Image.Image:
    """Return what `pixels_of` does as a picture of PIL."""
    return _image(pixels_of(scene, picture))


def draw(scene: "Scene", picture: Any) -> Image.Image:
    """Return the picture with the scene painted over it; see `Scene.draw`."""
    return _image(_the_studio().drawn(pixels_of(scene, picture), scene))


def save(scene: "Scene", path: str | Path, picture: Any) -> None:
    """Write a scene as JSON, or drawn; see `Scene.save`."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".json":
        write_text(path, json.dumps(scene.to_json(), ensure_ascii=False) + "\n")
        return
    if ending not in PICTURES:
        raise AnnotationError(f"{path}: a scene is saved as .json, or drawn as {', '.join(PICTURES)}; choose one")
    image = draw(scene, picture)
    with atomic(path) as temporary:
        image.save(temporary, quality=QUALITY)


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))


def _the_studio() -> Studio:
    if _studio is None:
        raise PictureError("no reader of pictures is at hand: import allsight.predict first")
    return _studio
