"""Label Studio's JSON: one list of tasks, each a picture with the results of its annotators.

    root/NAME.json   root/images/NAME.jpg, or anywhere below

Rectangles, polygons and ellipses are read; turned rectangles give the upright box around them. Of several annotations
of one picture the first that was not cancelled counts. Names are those of the upload: eight letters and a dash before
the file's own name are left out where only that is there.
"""

import json
import math
import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.entries import Entry
from allsight.data.formats.parsing import read_json
from allsight.data.formats.rings import Box, around, corners, ellipse, ring_of, turned
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.listing import files_below, files_in
from allsight.data.pictures.outlines import drawable
from allsight.data.pictures.reading import PICTURE_SUFFIXES
from allsight.errors import AnnotationError

_KINDS = {"rectanglelabels": "rectangle", "polygonlabels": "polygon", "ellipselabels": "ellipse"}
_HEAD = 1_000_000
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")


def label_studio_file(root: str | Path) -> Path | None:
    """Return the JSON file of this form at a path, or None."""
    root = Path(root)
    files = [root] if root.is_file() and root.suffix.lower() == ".json" else files_in(root, {".json"})
    return next((file for file in files if _is_tasks(file)), None)


def _is_tasks(file: Path) -> bool:
    with open(file, encoding="utf-8-sig", errors="replace") as opened:
        head = opened.read(_HEAD)
    if not head.lstrip().startswith("["):
        return False
    try:
        first, _ = json.JSONDecoder().raw_decode(head, head.index("[") + 1 + _gap(head))
    except (ValueError, RecursionError):
        return '"annotations"' in head and '"data"' in head and '"result"' in head
    return isinstance(first, dict) and isinstance(first.get("data"), dict) and "annotations" in first


def _gap(head: str) -> int:
    rest = head[head.index("[") + 1 :]
    return len(rest) - len(rest.lstrip())


def label_studio_splits(root: str | Path) -> list[str]:
    """Return one nameless split, or none if this is not of this form."""
    return [""] if label_studio_file(root) else []


def read_label_studio(root: str | Path, split: str = "") -> Dataset:
    """Read all tasks; classes are all that occur, sorted.

    Args:
        root: the folder, or the JSON file. split: empty.

    Raises:
        AnnotationError: no such file. A broken result is a problem only.
    """
    file = label_studio_file(root)
    if file is None or split:
        raise AnnotationError(f"{root}: has no split {split!r} in Label Studio's form")
    tasks = read_json(file)
    problems: list[Problem] = []
    table = Table(outlines=[])
    pictures: dict[str, Path | None] = {}
    for path in files_below(file.parent, PICTURE_SUFFIXES):
        pictures[path.name] = None if path.name in pictures else path
    left_out: Counter[str] = Counter()
    for i, item in enumerate(tasks):
        try:
            _add(table, Entry(item, "tasks", i), file, pictures, left_out, problems)
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
    for kind, count in left_out.items():
        text = f"{count} results of the kind {kind} are not read from this form; left out"
        problems.append(Problem("other shapes", str(file), text, "warning"))
    classes = classes_of(file, sorted(set(table.classes)))
    table.label(classes)
    examples, found = assemble(table, classes)
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=file.parent.name, split="")


def _add(
    table: Table,
    task: Entry,
    file: Path,
    pictures: dict[str, Path | None],
    left_out: Counter[str],
    problems: list[Problem],
) -> None:
    """Add one picture and its results."""
    data = task["data"]
    written = (
        next((v for v in data.values() if isinstance(v, str) and _name(v)), None) if isinstance(data, dict) else None
    )
    if written is None:
        raise task.wrong("data", "names no picture")
    path = _picture(written, file, pictures)
    size = measured(path, None, problems)
    if size is None:
        return
    annotations = [each for each in task.entries("annotations") if not each.get("was_cancelled")]
    if len(annotations) > 1:
        text = f"{task} has {len(annotations)} annotations; the first one is read"
        problems.append(Problem("several annotators", str(file), text, "warning", picture=str(path)))
    if not annotations:
        text = f"{path.name} is not annotated; left out"
        problems.append(Problem("not annotated", str(file), text, "warning", picture=str(path)))
        return
    owner = table.picture(path, size, str(file), problems)
    for result in annotations[0].entries("result"):
        kind = str(result.get("type"))
        if kind not in _KINDS:
            if kind not in ("labels", "choices") or kind == "choices":
                left_out[kind] += 1
            continue
        try:
            names, box, outline = _shape(result, kind, size)
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped", picture=str(path)))
            continue
        for name in names:
            table.add(owner, name, box, outline)


def _name(written: str) -> str:
    """Return the file name that a task's address means, or nothing if it is of no picture."""
    address = urlparse(written.replace("\\", "/"))
    local = parse_qs(address.query).get("d")
    name = PurePosixPath(unquote(local[0] if local else address.path)).name
    return name if os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES else ""


def _picture(written: str, file: Path, pictures: dict[str, Path | None]) -> Path:
    name = _name(written)
    for each in (name, _UPLOAD.sub("", name)):
        if each in pictures:
            found = pictures[each]
            if found is None:
                raise AnnotationError(f"{each} lies in several folders, and the task does not say in which")
            return found
    return file.parent / name


def _shape(result: Entry, kind: str, size: tuple[int, int]) -> tuple[list[str], Box, Any]:
    """Return the classes, the box and the outline; raises AnnotationError if it is broken. Places are in percent."""
    value = Entry(result["value"], f"{result}: value", 0)
    names = value[kind]
    if not isinstance(names, list) or not names:
        raise value.wrong(kind, "is no list of classes")
    height, width = size
    scale = (width / 100, height / 100)
    turn = value.number("rotation") if "rotation" in result["value"] else 0.0
    if kind == "polygonlabels":
        points = value["points"]
        if not isinstance(points, list) or len(points) < 3:
            raise value.wrong("points", "is no list of three points or more")
        try:
            ring = ring_of([(x * scale[0], y * scale[1]) for x, y in points])
        except (TypeError, ValueError):
            raise value.wrong("points", "is no list of points") from None
        return _ringed(value, names, ring, size)
    x, y = value.number("x") * scale[0], value.number("y") * scale[1]
    if kind == "ellipselabels":
        radii = (value.number("radiusX") * scale[0], value.number("radiusY") * scale[1])
        return _ringed(value, names, ellipse(x, y, *radii, turn), size)
    box = (x, y, x + value.number("width") * scale[0], y + value.number("height") * scale[1])
    upright = not turn or not math.isfinite(turn)
    return list(map(str, names)), box if upright else around([turned(corners(box), (x, y), turn)]), None


def _ringed(value: Entry, names: list[Any], ring: list[float], size: tuple[int, int]) -> tuple[list[str], Box, Any]:
    if not drawable([ring], size):
        raise AnnotationError(f"{value} reaches too far beyond its picture")
    return list(map(str, names)), around([ring]), [ring]
