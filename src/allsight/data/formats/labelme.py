"""labelme: one JSON file a picture, beside it.

    root/NAME.json   root/NAME.jpg                  root/SPLIT/NAME.json   root/SPLIT/NAME.jpg

Polygons, rectangles, circles and masks are read; several shapes of one `group_id` and label are one object. Points and
lines have no area and are left out with a word.
"""

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.entries import Entry
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import parsed, read_json
from allsight.data.formats.rings import Box, around, ellipse, ring_of
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.listing import files_below, files_in, folders_in
from allsight.data.pictures.outlines import drawable
from allsight.data.pictures.reading import opened
from allsight.data.roles import role_of
from allsight.errors import AllsightError, AnnotationError

_FEW = 3  # files that are opened to see what they are


@dataclass(frozen=True)
class Shape:
    """A shape of a file: the class, the box around it, and its rings or run-length code, None for a rectangle."""

    name: str
    box: Box
    outline: Any = None


def labelme_splits(root: str | Path) -> list[str]:
    """Return the names of the splits, empty if this is no labelme."""
    return sorted(_files(Path(root)))


def is_labelme(file: Path) -> bool:
    """Whether a JSON file is of this form."""
    try:
        value = read_json(file)
    except AnnotationError:
        return False
    return isinstance(value, dict) and isinstance(value.get("shapes"), list) and "imagePath" in value


def _files(root: Path) -> dict[str, list[Path]]:
    """Return the files of every split."""
    named = {folder.name: folder for folder in folders_in(root) if role_of(folder.name)}
    found = {name: files for name, folder in named.items() if _some(files := files_below(folder, {".json"}))}
    if not found and any(_some(files_in(folder, {".json"})) for folder in (root, *folders_in(root))):
        found = {"": files_below(root, {".json"})}
    return found


def _some(files: list[Path]) -> bool:
    return any(is_labelme(path) for path in files[:_FEW])


def read_labelme(root: str | Path, split: str = "") -> Dataset:
    """Read one split; classes are all that occur in any split, sorted.

    Args:
        root: the folder. split: one of `labelme_splits(root)`.

    Raises:
        AnnotationError: no such split. A broken file is a problem of its picture only.
    """
    root = Path(root)
    files = _files(root)
    if split not in files:
        raise AnnotationError(f"{root}: has no labelme files of {split!r}; there are: {', '.join(files) or 'none'}")
    problems: list[Problem] = []
    table = Table(outlines=[])
    names: set[str] = set()
    for part, paths in files.items():
        for path in paths:
            own = part == split
            try:
                value = read_json(path)
                if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
                    raise AnnotationError(f"{path}: has no list of shapes; save it in labelme again")
                names |= {str(e.get("label")).strip() for e in value["shapes"] if isinstance(e, dict) and "label" in e}
                if own:
                    _add(table, path, value, problems)
            except AnnotationError as error:
                if own:
                    text = f"{str(error).removeprefix(f'{path}: ')}; left out"
                    problems.append(Problem("broken annotation", str(path), text))
    classes = classes_of(root, sorted(names))
    table.label(classes)
    examples, found = assemble(table, classes)
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=root.name, split=split)


def _add(table: Table, file: Path, value: dict[str, Any], problems: list[Problem]) -> None:
    """Add the shapes of one file."""
    finder = Finder([file.parent])
    written = value.get("imagePath")
    own = Finder([file.parent]).of_stem(file.stem)
    path = (finder.find(written) if isinstance(written, str) else None) or own
    if path is None:
        problems.append(Problem("missing picture", str(file), f"its picture {written!r} is not there"))
        return
    if own is not None and path != own and path.stem != own.stem:
        text = (
            f"says it belongs to {written} but is called as {own.name}, which is there too; read as that of {own.name}"
        )
        problems.append(Problem("picture of another", str(file), text, "warning", picture=str(own)))
        path = own
    entry = Entry(value, "file", 0)
    sized = value.get("imageHeight") and value.get("imageWidth")
    size = measured(path, (entry.whole("imageHeight"), entry.whole("imageWidth")) if sized else None, problems)
    if size is None:
        return
    owner = table.picture(path, size, str(file), problems)
    groups: dict[Any, list[Shape]] = {}
    for i, item in enumerate(value["shapes"]):
        try:
            shape = Entry(item, "shapes", i)
            group = shape.get("group_id")
            made = _shape(shape, size)
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped", picture=str(path)))
            continue
        whole = group is not None and isinstance(made.outline, list)
        groups.setdefault((str(group), made.name) if whole else i, []).append(made)
    for shapes in groups.values():
        outline = shapes[0].outline
        if len(shapes) > 1:
            outline = [ring for each in shapes for ring in each.outline]
        box = shapes[0].box if len(shapes) == 1 else around(outline)
        table.add(owner, shapes[0].name, box, outline)


def _shape(entry: Entry, size: tuple[int, int]) -> Shape:
    """Return a shape; raises AnnotationError if it has no area or is broken."""
    name, kind = str(entry["label"]).strip(), entry.get("shape_type") or "polygon"
    written = entry["points"]
    if not isinstance(written, list) or not all(isinstance(point, list) and len(point) == 2 for point in written):
        raise entry.wrong("points", "is no list of points")
    try:
        points = [(float(x), float(y)) for x, y in written]
    except (TypeError, ValueError, OverflowError):
        raise entry.wrong("points", "is no list of points") from None
    if not points or not all(math.isfinite(value) for point in points for value in point):
        raise entry.wrong("points", "is not made of finite numbers")
    if kind == "rectangle":
        return Shape(name, around([ring_of(points)]))
    if kind == "mask":
        return Shape(name, *_mask(entry, points[0], size))
    if kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        ring = ellipse(*points[0], radius, radius)
    elif kind in ("polygon", "oriented_rectangle") and len(points) > 2:
        ring = ring_of(points)
    else:
        raise AnnotationError(f"{entry} is a {kind} of {len(points)} points, which has no area")
    if not drawable([ring], size):
        raise AnnotationError(f"{entry} reaches too far beyond its picture")
    return Shape(name, around([ring]), [ring])


def _mask(entry: Entry, corner: tuple[float, float], size: tuple[int, int]) -> tuple[Box, Any]:
    """Return the box and the run-length code of a mask, which is a PNG in base 64 from a corner on."""
    from pycocotools import mask as coco

    text = entry["mask"]
    try:
        with parsed(Path(str(entry)), "a mask"):
            content = base64.b64decode(text, validate=True)
        with opened(io.BytesIO(content).getvalue()) as image:
            bits = np.asarray(image.convert("L")) > 0 if isinstance(image, Image.Image) else np.zeros((0, 0))
    except AllsightError:
        raise entry.wrong("mask", "is no picture in base 64") from None
    x, y = round(corner[0]), round(corner[1])
    whole = np.zeros(size, dtype=np.uint8, order="F")
    if x < 0 or y < 0 or y + bits.shape[0] > size[0] or x + bits.shape[1] > size[1] or not bits.any():
        raise entry.wrong("mask", "does not lie on the picture")
    whole[y : y + bits.shape[0], x : x + bits.shape[1]] = bits
    code = coco.encode(whole)
    left, top, width, height = (float(v) for v in coco.toBbox(code))
    return (left, top, left + width, top + height), {"size": list(size), "counts": code["counts"].decode()}
