"""YOLO: one text file a picture, one line an object, and a YAML file that names classes and folders.

    root/data.yaml (or any .yaml with `names` and `train`)   root/images/train/NAME.jpg   root/labels/train/NAME.txt

A line is `class x_centre y_centre width height`, or `class x1 y1 x2 y2 x3 y3 ...` for an outline; all divided by the
picture's size. A picture without a label file has no objects, unless the YAML says `skip_if_label_file_missing`:
then it is not annotated and left out.
"""

from pathlib import Path
from typing import Any

import yaml

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.reading import PICTURE_SUFFIXES, find_pictures
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Vocabulary

CONFIG = "data.yaml"
_SPLITS = ("train", "val", "valid", "test")


def yolo_config(root: str | Path) -> Path | None:
    """Return the YAML file that describes a YOLO data set: itself, in the folder or in a folder below; None if none.

    Where boxes and outlines of the same pictures lie side by side, `object_detection` is preferred. A `data.yaml` that
    cannot be read is returned too: reading it says what is wrong.
    """
    root = Path(root)
    if root.is_file():
        return root if root.suffix.lower() in (".yaml", ".yml") else None
    below = sorted((*root.glob("*/*.y*ml"),), key=lambda path: (path.parent.name != "object_detection", path))
    for path in (*sorted(root.glob("*.y*ml")), *below):
        try:
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, OSError, UnicodeError):
            continue
        if isinstance(value, dict) and "names" in value and any(split in value for split in _SPLITS):
            return path
    usual = root / CONFIG
    return usual if usual.is_file() else None


def yolo_splits(root: str | Path) -> list[str]:
    """Return the names of the splits, empty if this is no YOLO data set.

    Raises:
        AnnotationError: there is a `data.yaml`, but it is broken or names no split.
    """
    file = yolo_config(root)
    if file is None:
        return []
    found = [split for split in _SPLITS if _load(file).get(split)]
    if not found and file.name == CONFIG:
        raise AnnotationError(f"{file}: has no split; write for instance `train: images/train`")
    return found


def read_yolo(root: str | Path, split: str = "train") -> Dataset:
    """Read one split of a YOLO data set.

    Args:
        root: the folder, or the YAML file.
        split: a key of the YAML file.

    Raises:
        AnnotationError: no or a broken YAML file, or no such split. A broken line is a problem only.
    """
    file = yolo_config(root)
    if file is None:
        raise AnnotationError(f"{root}: no YAML file with `names` and `train` here; give a folder in YOLO form")
    config = _load(file)
    if not config.get(split):
        raise AnnotationError(f"{file}: has no split {split!r}; there are: {', '.join(yolo_splits(file))}")
    classes = _classes(config, file)
    problems: list[Problem] = []
    table = Table(outlines=[])
    unlabelled = 0
    for path, label in _pictures(config, file, split, problems):
        if not label.is_file() and config.get("skip_if_label_file_missing"):
            unlabelled += 1
            continue
        size = measured(path, None, problems)
        text = _text(label, problems)
        if size is None or text is None:
            continue
        table.paths.append(path)
        table.sizes.append(size)
        table.where.append(str(label))
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not _add(table, line.split(), size, classes):
                problems.append(Problem("broken annotation", str(label), f"line {number} is not a box; dropped"))
    if unlabelled:
        text = f"{unlabelled} pictures of {split} have no label file; left out, as this file wants it"
        problems.append(Problem("not annotated", str(file), text, "warning"))
    assert table.outlines is not None
    if not any(table.outlines):
        table.outlines = None
    examples, found = assemble(table, classes)
    home = Path(root) if Path(root).is_dir() else file.parent
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=home.name, split=split)


def _load(file: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeError) as error:
        raise AnnotationError(f"{file}: is not valid YAML ({' '.join(str(error).split())}); mend it") from None
    if not isinstance(value, dict):
        raise AnnotationError(f"{file}: does not map names to values; give a YAML file in YOLO form")
    return value


def _classes(config: dict[str, Any], file: Path) -> Vocabulary:
    names: Any = config.get("names")
    try:
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        ranked = sorted((int(number), str(name)) for number, name in numbered)
    except (TypeError, ValueError):
        raise AnnotationError(f"{file}: `names` is no list of classes; write `names: [cat, dog]`") from None
    return classes_of(file, (name for _, name in ranked), (number for number, _ in ranked))


def _pictures(config: dict[str, Any], file: Path, split: str, problems: list[Problem]) -> list[tuple[Path, Path]]:
    """Return every picture of a split with the place of its label file; labels without a picture are problems."""
    entries = config[split] if isinstance(config[split], list) else [config[split]]
    pairs = []
    for entry in map(str, entries):
        said = file.parent / str(config.get("path") or ".")
        places = [base / entry for base in (said, file.parent, file.parent.parent)]
        place = next((p for p in places if p.exists()), None)
        if place is None:
            raise AnnotationError(f"{file}: its {split} pictures {entry!r} are not there; mend the path")
        if place.is_dir():
            try:
                found = find_pictures([place])
            except PictureError as error:
                raise AnnotationError(str(error)) from None
            labels = _label_folder(file.parent, entry, place)
            own = [(path, labels / path.relative_to(place).with_suffix(".txt")) for path in found]
            pairs += own
            alone = set() if labels == place else set(labels.rglob("*.txt")) - {label for _, label in own}
            problems += [Problem("missing picture", str(path), "its picture is not there") for path in sorted(alone)]
        else:
            pairs += [(path, _label_of(path)) for path in _listed(place)]
    return pairs


def _listed(file: Path) -> list[Path]:
    """Read a text file that lists pictures, one a line, relative to itself."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return [file.parent / line for line in lines if Path(line).suffix.lower() in PICTURE_SUFFIXES]


def _label_folder(home: Path, entry: str, pictures: Path) -> Path:
    """Return the folder of labels that belongs to a folder of pictures: `images` becomes `labels`."""
    beside = home / _labels_for(Path(entry))
    candidates = [beside, _labels_for(pictures), pictures]
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


def _label_of(path: Path) -> Path:
    return _labels_for(path).with_suffix(".txt")


def _labels_for(path: Path) -> Path:
    parts = list(path.parts)
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] == "images":
            return Path(*parts[:i], "labels", *parts[i + 1 :])
    return path


def _text(label: Path, problems: list[Problem]) -> str | None:
    if not label.is_file():
        return ""
    try:
        return label.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        text = f"is not readable text ({type(error).__name__}); the picture is left out"
        problems.append(Problem("broken annotation", str(label), text))
        return None


def _add(table: Table, words: list[str], size: tuple[int, int], classes: Vocabulary) -> bool:
    """Add one line to the table; return whether it is one."""
    try:
        number = int(float(words[0]))
        values = [float(word) for word in words[1:]]
    except (ValueError, OverflowError):
        return False
    height, width = size
    outline = None
    if len(values) == 4:
        x, y, w, h = values
        box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    elif len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
        box = (min(xs), min(ys), max(xs), max(ys))
        outline = [[v for point in zip(xs, ys, strict=True) for v in point]]
    else:
        return False
    label = classes.ids.index(number) if number in classes.ids else -1
    table.owners.append(len(table.paths) - 1)
    table.boxes.append(box)
    table.labels.append(label)
    table.classes.append(classes[label] if label >= 0 else f"id {number}")
    assert table.outlines is not None
    table.outlines.append(outline)
    return True


def write_yolo(dataset: Dataset, root: str | Path) -> None:
    """Write one split in YOLO form, pictures copied to `images/SPLIT`.

    Classes are numbered 0, 1, 2, ... as trainers of this form want it. Outlines are written if every object of the
    split is one ring. Crowds have no place in this form and are left out, as are tags, keypoints and captions.

    Args:
        dataset: its split gives the names; it must be train, val or test, or empty for train.
        root: the folder; other splits may stand there already.
    """
    root = Path(root)
    split = next((name for name in _SPLITS if dataset.split.startswith(name)), None) or dataset.split or "train"
    rings = [ring for e in dataset for ring in (e.outlines if e.outlines is not None else [None] * len(e.annotation))]
    as_outlines = all(isinstance(ring, list) and len(ring) == 1 for ring in rings)
    names = copy_pictures(dataset, root / "images" / split, distinct_stems=True)
    for example, name in zip(dataset, names, strict=True):
        put_text(root / "labels" / split / f"{Path(name).stem}.txt", _lines(example, as_outlines))
    file = root / CONFIG
    config = _load(file) if file.is_file() else {"path": "."}
    config |= {split: f"images/{split}", "names": dict(enumerate(dataset.object_classes or ()))}
    put_text(file, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _lines(example: Example, as_outlines: bool) -> str:
    scene = example.annotation
    if scene.boxes is None or scene.labels is None:
        return ""
    height, width = scene.size
    crowd = [False] * len(scene) if scene.crowd is None else scene.crowd.tolist()
    lines = []
    for i, (label, (x1, y1, x2, y2)) in enumerate(zip(scene.labels.tolist(), scene.boxes.tolist(), strict=True)):
        if crowd[i]:
            continue
        numbers = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        if as_outlines and example.outlines is not None:
            numbers = [v / (height if k % 2 else width) for k, v in enumerate(example.outlines[i][0])]
        lines.append(" ".join([str(label), *(f"{number:.10g}" for number in numbers)]) + "\n")
    return "".join(lines)
