"""Regions: a label map beside every picture.

    root/config.yaml      root/images/train/NAME.jpg   root/masks/train/NAME.png      (written by `write_regions`)
    root/train/NAME.jpg   root/trainannot/NAME.png                                    (as SegNet lays CamVid out)
    root/annotations/panoptic_train2017.json, panoptic_train2017/NAME.png             (as COCO panoptic)

The YAML file names folders and classes, relative to itself:

    train: {images: images/train, masks: masks/train}
    classes: {0: sky, 1: building}
    ignore: [11]
    colours: {0: [128, 128, 128], 1: [128, 0, 0]}

`ignore` and `colours` may be left out. Pixels of 255, and of classes called void or unlabeled, are not annotated. Where
maps have palettes, the first one's colours are taken for those of the classes, so that one in another order is read
right. With `annotations` in a split, its masks are COCO panoptic's.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from allsight.data.formats.assembly import classes_of, measured
from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.formats.panoptic import panoptic_splits, read_panoptic
from allsight.data.formats.parsing import read_yaml
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.label_maps import MOST_CLASSES, MOST_ID, UNNAMED, Codes, LabelMap, palette_of, wrong_size
from allsight.data.pictures.reading import find_pictures, opened, picture_size
from allsight.errors import AnnotationError, OutputError, PictureError
from allsight.scene import Scene, Vocabulary

CONFIG = "config.yaml"
_SPLITS = ("train", "val", "valid", "test")
# The classes of CamVid as SegNet has them (Badrinarayanan et al. 2017), in the order of their ids; 11 is void.
CAMVID = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]


def region_splits(root: str | Path) -> list[str]:
    """Return the names of the splits, empty if there are no label maps in a form that is known."""
    root = Path(root)
    config = _config(root)
    if config is not None:
        return _described(config)
    return _annotated(root) or list(panoptic_splits(root))


def _annotated(root: Path) -> list[str]:
    """Return the folders of pictures that have one of label maps beside them."""
    if not root.is_dir():
        return []
    return [name for name in _SPLITS if (root / name).is_dir() and (root / f"{name}annot").is_dir()]


def _described(config: dict[str, Any]) -> list[str]:
    """Return the entries of a YAML file that are splits with label maps."""
    return [name for name, each in config.items() if isinstance(each, dict) and {"images", "masks"} <= each.keys()]


def _config(root: Path) -> dict[str, Any] | None:
    """Return what the YAML file says, or None if there is none that describes label maps.

    Raises:
        AnnotationError: there is one that cannot be read.
    """
    file = root if root.suffix.lower() in (".yaml", ".yml") else root / CONFIG
    if not file.is_file():
        return None
    value = read_yaml(file)
    if not isinstance(value, dict) or not _described(value):
        return None
    return {**value, "home": file.parent}


def read_regions(root: str | Path, split: str = "train") -> Dataset:
    """Read one split of pictures with label maps; the maps are decoded when a scene is asked for.

    Args:
        root: the folder, or the YAML file.
        split: one of `region_splits(root)`.

    Raises:
        AnnotationError: no such split, or a file or classes that cannot be read. A map that is missing or of another
            size than its picture is a problem only.
    """
    root = Path(root)
    there = region_splits(root)
    if split not in there:
        raise AnnotationError(f"{root}: has no label maps of {split!r}; splits that have some: {', '.join(there)}")
    config = _config(root)
    if config is None and not _annotated(root):
        return read_panoptic(panoptic_splits(root)[split], split, name=root.name)
    if config is None:
        pictures, maps = root / split, root / f"{split}annot"
        name, codes = root.name, Codes(Vocabulary(tuple(CAMVID)), ignored=(len(CAMVID),))
        first = root / f"{there[0]}annot"
    else:
        home, entry = config["home"], config[split]
        if "annotations" in entry:
            return read_panoptic({key: home / str(path) for key, path in entry.items()}, split, name=home.name)
        pictures, maps = home / str(entry["images"]), home / str(entry["masks"])
        name, codes = home.name, _codes(config, home / CONFIG)
        first = home / str(config[there[0]]["masks"])
    codes = codes if codes.colours else Codes(codes.classes, codes.ignored, _palette(first, codes))
    problems: list[Problem] = []
    examples = list(_examples(pictures, maps, codes, problems))
    return Dataset(tuple(examples), region_classes=codes.classes, problems=tuple(problems), name=name, split=split)


def _codes(config: dict[str, Any], file: Path) -> Codes:
    """Return the classes of a YAML file; those called void and the like are ignored."""
    names, colours = config.get("classes"), config.get("colours") or config.get("colors") or {}
    try:
        if isinstance(names, str):
            raise TypeError("a single text")
        numbered = names.items() if isinstance(names, dict) else enumerate(names or ())
        ranked = sorted((int(number), str(name)) for number, name in numbered)
        painted = colours.items() if isinstance(colours, dict) else enumerate(colours)
        palette = {int(number): (int(c[0]), int(c[1]), int(c[2])) for number, c in painted}
        ignored = [int(number) for number in _numbers(config.get("ignore"))]
        strange = [n for n in (*(n for n, _ in ranked), *palette, *ignored) if not -MOST_ID <= n <= MOST_ID]
        if strange:
            raise ValueError(f"the id {strange[0]} is more than {MOST_ID:,}")
        ignored = [number for number in ignored if number >= 0]  # no pixel has another one, whatever tools write
    except (TypeError, ValueError, IndexError) as error:
        raise AnnotationError(f"{file}: `classes` is no list of names ({error}); write `classes: {{0: sky}}`") from None
    ignored += [number for number, name in ranked if name.lower() in UNNAMED]
    kept = [(number, name) for number, name in ranked if number not in ignored]
    if not 0 < len(kept) <= MOST_CLASSES:
        raise AnnotationError(f"{file}: names {len(kept)} classes; give 1 to {MOST_CLASSES} as `classes: {{0: sky}}`")
    classes = classes_of(file, (name for _, name in kept), (number for number, _ in kept))
    return Codes(classes, tuple(ignored), palette)


def _numbers(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [written] if written not in (None, "") else []


def _palette(folder: Path, codes: Codes) -> dict[int, tuple[int, int, int]]:
    """Return the colours of the classes in a folder's first label map, if it has a palette that tells them apart."""
    path = next(iter(sorted(folder.rglob("*.png"))), None)
    if path is None:
        return {}
    try:
        with opened(path) as image:
            colours = palette_of(image) if image.mode == "P" else []
    except PictureError:
        return {}
    numbers = [number for number in (*codes.classes.ids, *codes.ignored, 255) if number < len(colours)]
    named = {number: colours[number] for number in dict.fromkeys(numbers)}
    return named if len(set(named.values())) == len(named) >= len(codes.classes) else {}


def _examples(pictures: Path, maps: Path, codes: Codes, problems: list[Problem]) -> Iterable[Example]:
    """Give every picture that has a label map of its size."""
    try:
        found = find_pictures([pictures])
    except PictureError as error:
        raise AnnotationError(str(error)) from None
    there = {path.relative_to(maps).with_suffix(""): path for path in sorted(maps.rglob("*.png"))}
    unlabelled = 0
    for path in found:
        label_map = there.pop(path.relative_to(pictures).with_suffix(""), None)
        if label_map is None:
            unlabelled += 1
            continue
        size = measured(path, None, problems)
        if size is None or not _fits(label_map, path, size, problems):
            continue
        scene = Scene(size, region_classes=codes.classes, source=str(path))
        yield Example(path, scene, label_map=LabelMap(label_map, codes))
    if unlabelled:
        text = f"{unlabelled} of {len(found)} pictures have no label map in {maps}; left out"
        problems.append(Problem("not annotated", str(pictures), text, "warning"))
    problems += [Problem("missing picture", str(path), "its picture is not there") for path in there.values()]


def _fits(label_map: Path, path: Path, size: tuple[int, int], problems: list[Problem]) -> bool:
    """Tell whether a label map is there and as large as its picture, else add a problem."""
    try:
        found = picture_size(label_map)
    except PictureError as error:
        text = str(error).removeprefix(f"{label_map}: ")
        problems.append(Problem("unreadable label map", str(label_map), text, picture=str(path)))
        return False
    if found != size:
        text = wrong_size(label_map, found, size).removeprefix(f"{label_map}: ")
        problems.append(Problem("wrong size", str(label_map), text, picture=str(path)))
    return found == size


def write_regions(dataset: Dataset, root: str | Path) -> None:
    """Write one split with label maps: `images/SPLIT`, `masks/SPLIT` (PNG of labels) and config.yaml.

    Where there are masks of instances but no regions, they are painted; see `Dataset.with_regions`. Pictures without
    either are left out.

    Args:
        dataset: its split gives the names; "train" if it has none.
        root: the folder; other splits may stand there already.

    Raises:
        AnnotationError: there is nothing to write. OutputError: a map cannot be written.
    """
    root, split = Path(root), dataset.split or "train"
    dataset = dataset.with_regions()
    dataset = dataset.subset(i for i, e in enumerate(dataset) if e.label_map or e.annotation.regions is not None)
    if not len(dataset):
        raise AnnotationError(f"{dataset.name}: has neither regions nor masks; they cannot be written as label maps")
    names = copy_pictures(dataset, root / "images" / split, distinct_stems=True)
    folder = root / "masks" / split
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for example, name in zip(dataset, names, strict=True):
            regions = example.scene.regions
            assert regions is not None
            Image.fromarray(regions.numpy().astype(np.uint8)).save(folder / f"{Path(name).stem}.png")
    except OSError as error:
        raise OutputError(f"{folder}: label maps cannot be written ({error})") from error
    config = _config(root) or {}
    config.pop("home", None)
    config |= {split: {"images": f"images/{split}", "masks": f"masks/{split}"}}
    config["classes"] = dict(enumerate(dataset.region_classes or ()))
    put_text(root / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
