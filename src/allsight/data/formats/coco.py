"""COCO: one JSON file a split.

    root/annotations/instances_train2017.json   root/train2017/NAME.jpg        (as COCO itself)
    root/annotations/train.json                 root/images/[train/]NAME.jpg
    root/train/_annotations.coco.json           root/train/NAME.jpg            (as Roboflow exports)

Sparse category ids are mapped to labels by the Vocabulary, in the order of the ids. Masks are drawn when a scene is
asked for. Captions are read too where `captions_SPLIT.json` lies beside the instances.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.entries import Entry
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import read_json
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.listing import files_in, folders_in
from allsight.data.pictures.outlines import drawable
from allsight.errors import AnnotationError
from allsight.scene import Vocabulary

_HEAD = 1_000_000  # bytes of a JSON file that are enough to tell what it is
_KINDS = ("instances_", "person_keypoints_", "captions_", "panoptic_", "image_info_", "stuff_")


def coco_splits(root: str | Path) -> dict[str, Path]:
    """Return the instance file of every split of a COCO folder, or of the JSON file itself; empty if it is no COCO."""
    root = Path(root)
    if root.is_file():
        return {_split_name(root): root} if root.suffix.lower() == ".json" else {}
    files = files_in(root / "annotations", {".json"})
    files += [f for folder in folders_in(root) if (f := folder / "_annotations.coco.json").is_file()]
    files = [path for path in files if path.name.startswith(_KINDS) or is_coco(path)]
    if not files:
        files = [p for p in files_in(root, {".json"}) if not p.name.startswith("panoptic") and is_coco(p)]
    instances = [path for path in files if path.name.startswith("instances_")]
    others = [path for path in files if not path.name.startswith(_KINDS)]
    return {_split_name(path): path for path in (instances or others)}


def is_coco(file: Path) -> bool:
    """Whether a JSON file lists images and says so near its beginning, or cannot be read and lies where COCO's do."""
    usual = file.parent.name == "annotations" or file.name == "_annotations.coco.json"
    try:
        with open(file, "rb") as opened:
            head = opened.read(_HEAD + 1)
    except OSError:
        return usual
    if len(head) > _HEAD:
        return re.search(rb'"(images|annotations|categories)"\s*:\s*\[', head) is not None
    try:
        value = read_json(file)
    except AnnotationError:
        return usual
    return isinstance(value, dict) and "images" in value


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
    problems: list[Problem] = []
    annotations = listed(value, "annotations", file)
    categories = _without_residue(value.get("categories"), annotations, file, problems)
    classes, keypoints = category_vocabularies(categories, file)
    table, owners = _pictures(value["images"], file, problems)
    _add_annotations(table, owners, annotations, classes, len(keypoints or ()), file, problems)
    _add_captions(table, owners, file, problems)
    examples, found = assemble(table, classes, keypoints)
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=home.name, split=split)


def _without_residue(categories: Any, annotations: list[Any], file: Path, problems: list[Problem]) -> Any:
    """Return the categories without those that tools add and no object has.

    Roboflow writes its project as a category of its own: a second one of a name, or the `supercategory` of the others.
    """
    if not isinstance(categories, list) or not all(isinstance(each, dict) for each in categories):
        return categories
    used = {str(item.get("category_id")) for item in annotations if isinstance(item, dict)}
    names = Counter(str(each.get("name")) for each in categories)
    above = {str(each.get("supercategory")) for each in categories if str(each.get("id")) in used}
    kept = []
    for each in categories:
        name = str(each.get("name"))
        twin = names[name] > 1 and any(str(o.get("id")) in used for o in categories if str(o.get("name")) == name)
        project = each.get("supercategory") in ("none", "", None) and name in above
        if str(each.get("id")) in used or not (twin or project):
            kept.append(each)
            continue
        why = "another one has its name" if twin else "it only groups the others"
        text = f"the category {name!r} (id {each.get('id')}) has no object and {why}; left out"
        problems.append(Problem("empty category", str(file), text, "warning"))
    return kept


def load_coco(file: Path) -> dict[str, Any]:
    """Return what a COCO file says; raises AnnotationError if it has no list of images."""
    value = read_json(file)
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
    names, numbers = [name for _, name in ranked], [number for number, _ in ranked]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None and len(set(numbers)) == len(numbers):
        told = " and ".join(str(number) for number, name in ranked if name == twice)
        text = f"the name {twice!r} stands twice in the vocabulary, with the ids {told}"
        raise AnnotationError(f"{file}: {text}; give each its own name or join them")
    classes = classes_of(file, names, numbers)
    return classes, classes_of(file, map(str, pointed["keypoints"])) if pointed else None


def _pictures(images: list[Any], file: Path, problems: list[Problem]) -> tuple[Table, dict[Any, int]]:
    """Return a table of the pictures that can be used and where each image id is in it, -1 where it is not."""
    table = Table()
    owners: dict[Any, int] = {}
    finder = Finder(_folders(file))
    entries = []
    for i, item in enumerate(images):
        try:
            entry = Entry(item, "images", i)
            number = entry.name("id")
            owners.setdefault(number, -1)
            name = str(entry["file_name"])
            sized = entry.get("height") and entry.get("width")
            said = (entry.whole("height"), entry.whole("width")) if sized else None
            entries.append((number, name, said))
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
    pictures: dict[Any, dict[str, None]] = {}
    for number, name, _ in entries:
        pictures.setdefault(number, {})[name] = None
    for number, names in pictures.items():
        if len(names) > 1:
            text = (
                f"the image id {number} stands for {' and '.join(names)}: whose objects are whose cannot be told; all"
            )
            problems.append(Problem("double id", str(file), f"{text} are left out; number them anew"))
    for number, name, said in entries:
        if len(pictures[number]) > 1:
            continue
        path = finder.place(name)
        size = measured(path, said, problems)
        if size is not None:
            owners[number] = table.picture(path, size, str(file), problems)
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
            owner = _owner(entry, owners)
            x, y, width, height = entry.numbers("bbox", 4)
            number = entry.whole("category_id")
            size = entry.number("area") if item.get("area") is not None else abs(width * height)
            size = size if math.isfinite(size) else abs(width * height)
            many = entry.flag("iscrowd")
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
        crowd.append(many)
        area.append(size)
        written = entry.get("segmentation")
        outline, lost = _outline(written, table.sizes[owner])
        outlines.append(outline)
        if lost:
            kept = "the rest is" if outline else "only its box is"
            text = f"{lost} of {entry} cannot be drawn on its picture; {kept} kept"
            problems.append(Problem("broken outline", str(file), text, "warning", picture=str(table.paths[owner])))
        points.append(place)
    table.columns = {"crowd": crowd, "area": area}
    if any(outline is not None for outline in outlines):
        table.outlines = outlines
    if keypoints:
        table.columns["keypoints"] = np.asarray(points, dtype=np.float32).reshape(-1, keypoints, 3)


def _owner(entry: Entry, owners: dict[Any, int]) -> int:
    """Return the position of an entry's picture, whether its id is written as a number or as text."""
    number = entry.name("image_id")
    owner = owners.get(number)
    if owner is None:  # a table program turns 7 to "7" in one of the lists alone
        other = int(number) if isinstance(number, str) and number.isdecimal() and len(number) < 19 else str(number)
        owner = owners.get(other)
    if owner is None:
        raise entry.wrong("image_id", "none of the images has")
    return owner


def _outline(segmentation: Any, size: tuple[int, int]) -> tuple[Any, str]:
    """Return what can be drawn on a picture of `size`, rings or a run-length code or None, and words on what cannot."""
    if not segmentation:
        return None, ""
    if isinstance(segmentation, dict) or not isinstance(segmentation, list):
        return (segmentation, "") if drawable(segmentation, size) else (None, "the outline")
    rings = [ring for ring in segmentation if drawable([ring], size)]
    lost = len(segmentation) - len(rings)
    if not rings:
        return None, "the outline"
    return rings, f"{lost} of {len(segmentation)} rings" if lost else ""


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
