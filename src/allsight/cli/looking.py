"""What `allsight see` does with each picture once it is seen: blur, draw, cut out, tell."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from allsight.cli.names import only
from allsight.cli.tally import Tally, tally
from allsight.errors import PictureError
from allsight.files import atomic

# Torch is imported inside the functions: `allsight see --help` must not wait for it.
if TYPE_CHECKING:
    from torch import Tensor

    from allsight.scene import Scene

QUALITY = 90
LONGEST_JPEG = 65_535
LONGEST_NAME = 255  # bytes of a file's name on most disks


class Told(NamedTuple):
    """What is left of a picture once it is finished.

    Args:
        line: its JSON. tally: what is counted. rows: of the table, none if there is no table.
    """

    line: str
    tally: Tally
    rows: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Finish:
    """Finishes one picture; threads call it at the same time.

    Args:
        drawn: from a picture to its annotated copy; empty if none is drawn.
        places: of the pictures below an output, without ending.
        crops: folder for what is cut out, None for nothing.
        classes: only these are told and drawn; None for all.
        blur: classes whose objects are blurred in all that is written.
        plain: write the pictures without annotation.
        rows: whether to make rows of a table.
    """

    drawn: Mapping[Path, Path]
    places: Mapping[Path, Path]
    crops: Path | None = None
    classes: frozenset[str] | None = None
    blur: frozenset[str] = frozenset()
    plain: bool = False
    rows: bool = False

    @property
    def pixels(self) -> bool:
        """Whether pictures are needed at their full size."""
        return bool(self.drawn) or self.crops is not None

    def __call__(self, path: Path, picture: "Tensor", scene: "Scene") -> Told:
        """Write what is to be written of a picture, and return what is to be told."""
        shown = scene if self.classes is None else only(scene, self.classes)
        if self.pixels and self.blur:
            from allsight.draw.blur import blurred

            picture = blurred(picture, scene, self.blur)
        if self.drawn:
            self._draw(path, picture, shown)
        if self.crops is not None:
            self._cut_out(self.crops, path, picture, shown)
        return told(shown.to_json(), self.rows)

    def _draw(self, path: Path, picture: "Tensor", scene: "Scene") -> None:
        """Write the annotated copy of one picture."""
        from allsight.draw import draw

        if len(os.fsencode(self.drawn[path].name)) > LONGEST_NAME:
            raise PictureError(f"{path}: its name is too long for that of an annotated copy; rename it")
        if max(scene.size) > LONGEST_JPEG:
            raise PictureError(
                f"{path}: is longer than a JPEG can be ({LONGEST_JPEG:,} pixels); look at it with --no-draw"
            )
        write_jpeg(self.drawn[path], picture if self.plain else draw(picture, scene))

    def _cut_out(self, folder: Path, path: Path, picture: "Tensor", scene: "Scene") -> None:
        """Write a picture of every object: folder/CLASS/PLACE-NUMBER.jpg."""
        for item in scene:
            if not item.weak:  # where a tag comes from is no object
                x1, y1, x2, y2 = item.window()
                place = self.places[path]
                name = place.with_name(f"{place.name}-{item.index + 1}.jpg")
                write_jpeg(folder / folder_name(item.name or "object") / name, picture[:, y1:y2, x1:x2])


def told(value: Mapping[str, Any], rows: bool) -> Told:
    """Return what is told of a picture, from what `Scene.to_json` says of it."""
    if not rows:
        return Told(json.dumps(value, ensure_ascii=False), tally(value))
    from allsight.scene.table import rows as rows_of

    return Told(json.dumps(value, ensure_ascii=False), tally(value), rows_of(value))


def write_jpeg(path: Path, picture: "Tensor") -> None:
    """Write a picture (3, H, W) uint8, whole or not at all."""
    from PIL import Image

    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    with atomic(path) as temporary:
        image.save(temporary, "JPEG", quality=QUALITY)


def folder_name(label: str) -> str:
    """Return the name of a class as one of a folder on any system: only letters, numbers, spaces, hyphens and dots."""
    return re.sub(r"[^\w .()&+-]", "_", label).strip(" .") or "_"
