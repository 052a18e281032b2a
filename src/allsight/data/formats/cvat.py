"""CVAT for images 1.1: one annotations.xml with all pictures.

    root/annotations.xml   root/images/[SUBSET/]NAME.jpg, or root/[SUBSET/]NAME.jpg

Boxes, polygons, ellipses and masks are read; turned boxes give the upright box around them. Points, polylines,
skeletons, cuboids and tags have no place among boxes and are left out with a count.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import read_xml
from allsight.data.formats.rings import Box, around, corners, ellipse, turned
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.listing import files_in
from allsight.data.pictures.outlines import drawable
from allsight.errors import AnnotationError

_READ = ("box", "polygon", "ellipse", "mask")


def cvat_file(root: str | Path) -> Path | None:
    """Return the XML file of this form at a path, or None."""
    root = Path(root)
    files = [root] if root.is_file() and root.suffix.lower() == ".xml" else files_in(root, {".xml"})
    for file in files:
        try:
            with open(file, "rb") as opened:
                head = opened.read(4096)
        except OSError:
            continue
        if b"<annotations>" in head or b"<annotations " in head:
            return file
    return None


def cvat_splits(root: str | Path) -> list[str]:
    """Return the names of the subsets, one nameless one if there are none, none if this is not of this form."""
    file = cvat_file(root)
    if file is None:
        return []
    return sorted({image.get("subset") or "" for image in read_xml(file).iter("image")}) or [""]


def read_cvat(root: str | Path, split: str = "") -> Dataset:
    """Read one subset; classes are the labels of the task, in its order, or all that occur.

    Args:
        root: the folder, or the XML file. split: one of `cvat_splits(root)`.

    Raises:
        AnnotationError: no such file or subset, or broken XML. A broken shape is a problem only.
    """
    file = cvat_file(root)
    if file is None or split not in cvat_splits(root):
        raise AnnotationError(f"{root}: has no pictures of {split!r} in the form of CVAT for images")
    tree = read_xml(file)
    problems: list[Problem] = []
    table = Table(outlines=[])
    finder = Finder([file.parent / "images" / split, file.parent / "images", file.parent / split, file.parent])
    listed = [
        name for label in tree.iterfind("./meta//labels/label") if (name := (label.findtext("name") or "").strip())
    ]
    names = list(dict.fromkeys(listed))
    left_out: Counter[str] = Counter()
    for image in tree.iter("image"):
        names += sorted({shape.get("label", "") for shape in image if shape.tag in _READ} - set(names))
        if (image.get("subset") or "") == split:
            _add(table, image, file, finder, left_out, problems)
    for kind, count in left_out.items():
        text = f"{count} {kind} {'is' if count == 1 else 'are'} not read from this form; left out"
        problems.append(Problem("other shapes", str(file), text, "warning"))
    classes = classes_of(file, names)
    table.label(classes)
    examples, found = assemble(table, classes)
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=file.parent.name, split=split)


def _add(
    table: Table,
    image: ElementTree.Element,
    file: Path,
    finder: Finder,
    left_out: Counter[str],
    problems: list[Problem],
) -> None:
    """Add the shapes of one picture."""
    name = image.get("name") or ""
    height, width = (_number(image.get(side)) for side in ("height", "width"))
    said = (int(height), int(width)) if 0 < height < 2**31 and 0 < width < 2**31 else None
    path = finder.place(name)
    size = measured(path, said, problems)
    if size is None:
        return
    owner = table.picture(path, size, str(file), problems)
    for i, shape in enumerate(image):
        if shape.tag not in _READ:
            left_out[shape.tag] += 1
            continue
        try:
            box, outline = _shape(shape, size)
        except (ValueError, TypeError, OverflowError):
            text = f"the {shape.tag} number {i} of {name} cannot be understood; dropped"
            problems.append(Problem("broken annotation", str(file), text, picture=str(path)))
            continue
        table.add(owner, shape.get("label", "").strip(), box, outline)


def _shape(shape: ElementTree.Element, size: tuple[int, int]) -> tuple[Box, Any]:
    """Return the box and the outline of a shape; raises ValueError if it is broken."""
    turn = float(shape.get("rotation", "0"))
    if shape.tag == "box":
        x1, y1, x2, y2 = (_number(shape.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
        ring = turned(corners((x1, y1, x2, y2)), ((x1 + x2) / 2, (y1 + y2) / 2), turn)
        return ((x1, y1, x2, y2) if not turn else around([ring])), None
    if shape.tag == "mask":
        return _mask(shape, size)
    if shape.tag == "ellipse":
        x, y, rx, ry = (_number(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
        ring = ellipse(x, y, rx, ry, turn)
    else:
        ring = [float(value) for point in shape.get("points", "").split(";") for value in point.split(",")]
    if not drawable([ring], size):
        raise ValueError("reaches too far")
    return around([ring]), [ring]


def _mask(shape: ElementTree.Element, size: tuple[int, int]) -> tuple[Box, Any]:
    """Return the box and the run-length code of a mask; CVAT writes runs along rows, from a zero on, within a box."""
    import numpy as np
    from pycocotools import mask as coco

    left, top, width, height = (int(shape.get(key, "")) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    fits = left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= size[1] and top + height <= size[0]
    if not fits or min(runs) < 0 or sum(runs) != width * height:
        raise ValueError("does not fit")
    bits = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
    whole = np.zeros(size, dtype=np.uint8, order="F")
    whole[top : top + height, left : left + width] = bits
    code = coco.encode(whole)
    x, y, w, h = (float(value) for value in coco.toBbox(code))
    return (x, y, x + w, y + h), {"size": list(size), "counts": code["counts"].decode()}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
