"""COCO: one JSON file a split.

    root/annotations/instances_train2017.json   root/train2017/NAME.jpg        (as COCO itself)
    root/annotations/train.json                 root/images/[train/]NAME.jpg
    root/train/_annotations.coco.json           root/train/NAME.jpg            (as Roboflow exports)

Sparse category ids are mapped to labels by the Vocabulary, in the order of the ids. Masks are drawn when a scene is
asked for. Captions are read too where `captions_SPLIT.json` lies beside the instances.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.formats.entries import Entry
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.errors import AnnotationError
from allsight.scene import Vocabulary

_KINDS = ("instances_", "person_keypoints_", "captions_", "panoptic_", "image_info_", "stuff_")


def coco_splits(root: str | Path) -> dict[str, Path]:
    """Return the instance file of every split of a COCO folder, or of the JSON file itself; empty if it is no COCO."""
    root = Path(root)
    if root.is_file():
        return {_split_name(root): root} if root.suffix.lower() == ".json" else {}
    files = [*sorted(root.glob("annotations/*.json")), *sorted(root.glob("*/_annotations.coco.json"))]
    files = files or [path for path in sorted(root.glob("*.json")) if not path.name.startswith("panoptic")]
    instances = [path for path in files if path.name.startswith("instances_")]
    others = [path for path in files if not path.name.startswith(_KINDS)]
    return {_split_name(path): path for path in (instances or others)}


def _split_name(path: Path) -> str:
    if path.name == "_annotations.coco.json":
        return path.parent.name
    for kind in _KINDS:
        if path.name.startswith(kind):
            return path.stem.removeprefix(kind)
    return path.stem


def read_coco(root: str | Path, split: str = "") -> Dataset:
    """Read one COCO JSON file.

    Args:
        root: the data set's folder, or the JSON file itself.
        split: one of `coco_splits(root)`; may be empty if there is only one.

    Raises:
        AnnotationError: no such file, broken JSON or no list of images in it. A broken record is a problem only.
    """
    files = coco_splits(root)
    if split not in files and not (len(files) == 1 and not split):
        there = ", ".join(files) or "none"
        raise AnnotationError(f"{root}: has no COCO annotations of {split!r}; there are: {there}")
    file = files[split] if split else next(iter(files.values()))
    value = load_coco(file)
    classes, keypoints = category_vocabularies(value.get("categories"), file)
    problems: list[Problem] = []
    table, owners = _pictures(value["images"], file, problems)
    _add_annotations(table, owners, listed(value, "annotations", file), classes, len(keypoints or ()), file, problems)
    _add_captions(table, owners, file, problems)
    examples, found = assemble(table, classes)
    if keypoints is not None:
        examples = [replace(e, annotation=e.annotation.with_(keypoint_classes=keypoints)) for e in examples]
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=home.name, split=split)


def load_coco(file: Path) -> dict[str, Any]:
    """Return what a COCO file says; raises AnnotationError if it has no list of images."""
    try:
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{file}: is not valid JSON ({error}); export it again") from None
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise AnnotationError(f"{file}: has no list of images; give annotations in COCO form")
    return value


def listed(value: dict[str, Any], key: str, file: Path) -> list[Any]:
    """Return a list of a COCO file, empty if it has none; raises AnnotationError if something else stands there."""
    found = value.get(key, [])
    if not isinstance(found, list):
        raise AnnotationError(f"{file}: its {key} are no list; export it again")
    return found


def category_vocabularies(categories: Any, file: Path) -> tuple[Vocabulary, Vocabulary | None]:
    """Return the classes of a COCO file by its sparse ids, and the names of their keypoints, if they have any."""
    if not isinstance(categories, list):
        raise AnnotationError(f"{file}: has no list of categories; export it again")
    try:
        entries = [Entry(each, "categories", i) for i, each in enumerate(categories)]
        ranked = sorted({(each.whole("id"), str(each["name"])) for each in entries})
        pointed = next((each for each in entries if each.get("keypoints")), None)
        if pointed and not isinstance(pointed["keypoints"], list):
            raise pointed.wrong("keypoints", "is no list")
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}; export it again") from None
    classes = classes_of(file, (name for _, name in ranked), (number for number, _ in ranked))
    return classes, classes_of(file, map(str, pointed["keypoints"])) if pointed else None


def _pictures(images: list[Any], file: Path, problems: list[Problem]) -> tuple[Table, dict[Any, int]]:
    """Return a table of the pictures that can be used and the position of each image id in it."""
    table = Table()
    owners: dict[Any, int] = {}
    folders = _folders(file)
    for i, item in enumerate(images):
        try:
            entry = Entry(item, "images", i)
            number = entry.name("id")
            owners.setdefault(number, -1)
            name = str(entry["file_name"])
            sized = entry.get("height") and entry.get("width")
            said = (entry.whole("height"), entry.whole("width")) if sized else None
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
            continue
        path = next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)
        size = measured(path, said, problems)
        if size is None:
            continue
        owners[number] = len(table.paths)
        table.paths.append(path)
        table.sizes.append(size)
    table.where = [str(file)] * len(table.paths)
    return table, owners


def _folders(file: Path) -> list[Path]:
    """Return the places where the pictures of an annotation file usually lie, likeliest first."""
    split = _split_name(file)
    plain = split.rstrip("0123456789")
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    names = [f"images/{split}", split, f"images/{plain}", plain, "images", "JPEGImages", "."]
    folders = [home / name for name in names if (home / name).is_dir()]
    return [*folders, file.parent]


def _add_annotations(
    table: Table,
    owners: dict[Any, int],
    annotations: Iterable[Any],
    classes: Vocabulary,
    keypoints: int,
    file: Path,
    problems: list[Problem],
) -> None:
    labels = {number: label for label, number in enumerate(classes.ids)}
    names = dict(zip(classes.ids, classes.names, strict=True))
    crowd: list[bool] = []
    area: list[float] = []
    outlines: list[Any] = []
    points: list[list[float]] = []
    for i, item in enumerate(annotations):
        try:
            entry = Entry(item, "annotations", i)
            owner = owners.get(entry.name("image_id"))
            if owner is None:
                raise entry.wrong("image_id", "none of the images has")
            x, y, width, height = entry.numbers("bbox", 4)
            number = entry.whole("category_id")
            size = entry.number("area") if "area" in item else abs(width * height)
            pointed = keypoints and entry.get("keypoints")
            place = entry.numbers("keypoints", 3 * keypoints) if pointed else [0.0] * (3 * keypoints)
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
            continue
        if owner < 0:
            continue  # its picture is a problem already
        table.owners.append(owner)
        table.boxes.append((x, y, x + width, y + height))
        table.labels.append(labels.get(number, -1))
        table.classes.append(names.get(number, f"id {number}"))
        crowd.append(bool(entry.get("iscrowd", 0)))
        area.append(size)
        written = entry.get("segmentation")
        outlines.append(_outline(written, table.sizes[owner]))
        if written and outlines[-1] is None:
            text = f"the outline of {entry} cannot be drawn on its picture; only its box is kept"
            problems.append(Problem("broken outline", str(file), text, "warning", picture=str(table.paths[owner])))
        points.append(place)
    table.columns = {"crowd": crowd, "area": area}
    if any(outline is not None for outline in outlines):
        table.outlines = outlines
    if keypoints:
        table.columns["keypoints"] = np.asarray(points, dtype=np.float32).reshape(-1, keypoints, 3)


def _outline(segmentation: Any, size: tuple[int, int]) -> Any:
    """Return polygon rings or a run-length code that can be drawn on a picture of `size`, else None."""
    if isinstance(segmentation, dict):
        fits = list(segmentation.get("size", ())) == list(size) and isinstance(segmentation.get("counts"), str | list)
        return segmentation if fits else None
    if not isinstance(segmentation, list):
        return None
    rings = [r for r in segmentation if isinstance(r, list) and len(r) >= 6 and len(r) % 2 == 0 and _finite(r)]
    return rings or None


def _finite(ring: list[Any]) -> bool:
    try:
        return math.isfinite(sum(ring))
    except (TypeError, OverflowError):
        return False


def _add_captions(table: Table, owners: dict[Any, int], file: Path, problems: list[Problem]) -> None:
    beside = file.with_name(f"captions_{_split_name(file)}.json")
    if not file.name.startswith("instances_") or not beside.is_file():
        return
    captions: list[list[str]] = [[] for _ in table.paths]
    for i, item in enumerate(listed(load_coco(beside), "annotations", beside)):
        try:
            entry = Entry(item, "annotations", i)
            owner, text = owners.get(entry.name("image_id"), -1), str(entry["caption"]).strip()
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(beside), f"{error}; dropped"))
            continue
        if owner >= 0:  # captions may tell of pictures that the instances leave out
            captions[owner].append(text)
    table.pictures["captions"] = [tuple(each) for each in captions]


def write_coco(dataset: Dataset, root: str | Path) -> None:
    """Write one split in COCO form: `annotations/instances_SPLIT.json`, pictures copied to `SPLIT/`.

    Captions go to `captions_SPLIT.json`. Category ids are those of the vocabulary. Tags are left out.

    Args:
        dataset: its split gives the names, "all" if it has none.
        root: the folder; other splits may stand there already.
    """
    root, split = Path(root), dataset.split or "all"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    names = copy_pictures(dataset, root / split)
    for number, (example, name) in enumerate(zip(dataset, names, strict=True), start=1):
        scene = example.annotation
        images.append({"id": number, "file_name": name, "height": scene.size[0], "width": scene.size[1]})
        items = scene.to_coco(number, len(annotations) + 1)
        for item, outline in zip(items, example.outlines or (), strict=False):
            item["segmentation"] = outline
        annotations += items
        for text in scene.captions or ():
            captions.append({"id": len(captions) + 1, "image_id": number, "caption": text})
    classes = dataset.object_classes or Vocabulary(())
    points = next((e.annotation.keypoint_classes for e in dataset if e.annotation.keypoint_classes), None)
    extra = {"keypoints": list(points)} if points else {}
    categories = [{"id": number, "name": name, **extra} for number, name in zip(classes.ids, classes, strict=True)]
    value = {"images": images, "annotations": annotations, "categories": categories}
    put_text(root / "annotations" / f"instances_{split}.json", json.dumps(value, ensure_ascii=False))
    if captions:
        value = {"images": images, "annotations": captions}
        put_text(root / "annotations" / f"captions_{split}.json", json.dumps(value, ensure_ascii=False))
