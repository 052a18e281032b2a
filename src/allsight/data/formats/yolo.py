"""YOLO: one text file a picture, one line an object, and a file that names classes and folders.

    root/data.yaml (or any .yaml with `names` and `train`)   root/images/train/NAME.jpg   root/labels/train/NAME.txt
    root/data.yaml                                           root/train/images/NAME.jpg   root/train/labels/NAME.txt
    root/obj.data, obj.names, train.txt                      root/obj_train_data/NAME.jpg and NAME.txt   (CVAT YOLO 1.1)
    root/classes.txt (or none)                               root/images/NAME.jpg         root/labels/NAME.txt

A line is `class x_centre y_centre width height`, or `class x1 y1 x2 y2 x3 y3 ...` for an outline, or a box with key
points where `kpt_shape` says so; all divided by the picture's size. `yolo_lines` tells what else may stand there. A
picture without a label file has no objects, unless the YAML says `skip_if_label_file_missing`: then it is not annotated
and left out.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import read_lines, read_text
from allsight.data.formats.yolo_config import CONFIG, MOST_CLASSES, Config, config_of, labels_for
from allsight.data.formats.yolo_lines import WORDS, Line, layout_of, read_line
from allsight.data.pictures.dataset import MISSING_SPLIT, Dataset, Problem
from allsight.data.pictures.listing import files_below, files_in
from allsight.data.pictures.outlines import drawable
from allsight.data.pictures.reading import PICTURE_SUFFIXES, find_pictures
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Vocabulary

# What annotators and exports leave among the labels.
_NO_LABELS = ("classes", "notes", "readme", "obj", "predefined_classes", "labels", "data")
_TRUE = ("true", "yes", "1", "on")


def yolo_splits(root: str | Path) -> list[str]:
    """Return the names of the splits, empty if this is no YOLO data set.

    Raises:
        AnnotationError: there is a `data.yaml`, but it is broken or names no split.
    """
    config = config_of(root)
    if config is None:
        return []
    if not config.splits and config.file.name == CONFIG:
        raise AnnotationError(f"{config.file}: has no split; write for instance `train: images/train`")
    return list(config.splits)


def read_yolo(root: str | Path, split: str = "train") -> Dataset:
    """Read one split of a YOLO data set.

    Args:
        root: the folder, or the file that describes it.
        split: a key of that file.

    Raises:
        AnnotationError: no or a broken description, no such split, or no split has pictures. A broken line is a problem
            only, and so is a split without pictures beside one that has some: it is empty then.
    """
    config = config_of(root)
    if config is None:
        raise AnnotationError(f"{root}: no YAML file with `names` and `train` here; give a folder in YOLO form")
    if split not in config.splits:
        raise AnnotationError(f"{config.file}: has no split {split!r}; there are: {', '.join(yolo_splits(root))}")
    missing = config.missing(split)
    if missing is not None and all(config.missing(each) for each in config.splits):
        raise AnnotationError(f"{config.file}: {missing}")
    problems: list[Problem] = []
    if missing is not None:
        problems.append(Problem(MISSING_SPLIT, str(config.file), f"{missing}; left out", "warning"))
        return Dataset((), config.classes(), problems=tuple(problems), name=config.home.name, split=split)
    table = Table(outlines=[])
    rows = list(_rows(config, split, table, problems))
    classes = _classes(config, [words[0] for _, _, words in rows], problems)
    shape = config.points()
    layout = layout_of([(words, table.sizes[owner]) for owner, _, words in rows])
    if shape is None and layout in ("scored", "oriented", "pose"):
        problems.append(Problem("other columns", str(config.file), f"in {split}, {WORDS[layout]}", "warning"))
    points: list[tuple[float, ...]] = []
    for owner, number, words in rows:
        line = read_line(words, layout, shape)
        if isinstance(line, str):
            problems.append(Problem("broken annotation", table.where[owner], f"line {number} {line}; dropped"))
            continue
        _add(table, owner, number, line, classes, problems)
        points.append(line.keypoints or (0.0,) * (3 * shape[0] if shape else 0))
    if not any(table.outlines or ()):
        table.outlines = None
    keypoint_classes = None
    if shape is not None:
        keypoint_classes = config.point_names(shape[0])
        table.columns["keypoints"] = _in_pixels(points, table, shape[0])
    examples, found = assemble(table, classes, keypoint_classes)
    home = Path(root) if Path(root).is_dir() else config.home
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=home.name, split=split)


def _classes(config: Config, numbers: list[str], problems: list[Problem]) -> Vocabulary:
    """Return the classes, called by their numbers where nothing names them."""
    if config.names is not None or not config.file.is_dir():
        return config.classes()
    there = sorted({int(number) for number in numbers if number.isdecimal() and len(number) < 10})
    if not there or there[-1] >= MOST_CLASSES:
        raise AnnotationError(f"{config.file}: nothing names its classes; write them to classes.txt, one a line")
    text = "has no classes.txt and no data.yaml; the classes are called by their numbers"
    problems.append(Problem("no names", str(config.file), text, "warning"))
    return classes_of(config.file, map(str, there), there)


def _rows(config: Config, split: str, table: Table, problems: list[Problem]) -> Iterator[tuple[int, int, list[str]]]:
    """Fill the table's pictures and yield each line that is not empty: its picture, its number and its words."""
    unlabelled = labelled = 0
    skip = str(config.extra.get("skip_if_label_file_missing", "")).lower() in _TRUE
    looked: set[Path] = set()
    for path, label in _pictures(config, split, problems):
        there = label.is_file()
        labelled += there
        looked.add(label.parent)
        if not there and skip:
            unlabelled += 1
            continue
        size = measured(path, None, problems)
        text = _text(label, problems) if there else ""
        if size is None or text is None:
            continue
        owner = table.picture(path, size, str(label), problems)
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield owner, number, line.split()
    if unlabelled:
        text = f"{unlabelled} pictures of {split} have no label file; left out, as this file wants it"
        problems.append(Problem("not annotated", str(config.file), text, "warning"))
    elif table.paths and not labelled:
        text = f"no picture of {split or 'it'} has a label file in {min(looked)}; all of them count as without objects"
        problems.append(Problem("no labels", str(config.file), text, "warning"))


def _pictures(config: Config, split: str, problems: list[Problem]) -> list[tuple[Path, Path]]:
    """Return every picture of a split with the place of its label file; labels without a picture are problems."""
    pairs: list[tuple[Path, Path]] = []
    for entry, place in config.places(split):
        if not place.is_dir():
            pairs += [(path, _label(labels_for(path))) for path in _listed(place, config.home)]
            continue
        try:
            # A folder of everything, such as `.`, holds the pictures beside it alone.
            found = find_pictures([place]) if entry != "." else files_in(place, PICTURE_SUFFIXES)
        except PictureError as error:
            raise AnnotationError(str(error)) from None
        labels = _label_folder(config.home, entry, place)
        own = [(path, _label(labels / path.relative_to(place))) for path in found]
        pairs += own
        alone = [] if labels == place else files_below(labels, {".txt"})
        known = {label for _, label in own}
        problems += [
            Problem("missing picture", str(path), "its picture is not there")
            for path in alone
            if path not in known and path.stem.lower().split(".")[0] not in _NO_LABELS
        ]
    once = dict.fromkeys(pairs)
    if len(once) < len(pairs):
        text = f"{split} lists {len(pairs) - len(once)} pictures more than once; each is read once"
        problems.append(Problem("listed twice", str(config.file), text, "warning"))
    return list(once)


def _listed(file: Path, home: Path) -> list[Path]:
    """Read a text file that lists pictures, one a line, relative to itself or to the data set."""
    finder = Finder([file.parent, home])
    lines = [line.replace("\\", "/") for line in read_lines(file)]
    lines = [line for line in lines if Path(line).suffix.lower() in PICTURE_SUFFIXES]
    return [finder.find(line) or finder.find(line.removeprefix("data/")) or finder.place(line) for line in lines]


def _label_folder(home: Path, entry: str, pictures: Path) -> Path:
    """Return the folder of labels that belongs to a folder of pictures: `images` becomes `labels`."""
    own = labels_for(pictures)
    # Labels of their own form may lie beside the description while the pictures lie outside, for several forms.
    beside = home / labels_for(Path(entry))
    candidates = [own, beside] if entry.startswith("../") or home in pictures.parents else [beside, own]
    if own != pictures and files_in(pictures, {".txt"}):
        candidates.append(pictures)
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


def _label(path: Path) -> Path:
    """Return the label file of a path but for its ending, be it .txt or .TXT."""
    usual = path.with_suffix(".txt")
    upper = path.with_suffix(".TXT")
    return upper if not usual.is_file() and upper.is_file() else usual


def _text(label: Path, problems: list[Problem]) -> str | None:
    try:
        return read_text(label)
    except AnnotationError as error:
        text = f"{str(error).removeprefix(f'{label}: ')}; the picture is left out"
        problems.append(Problem("broken annotation", str(label), text))
        return None


def _add(table: Table, owner: int, number: int, line: Line, classes: Vocabulary, problems: list[Problem]) -> None:
    """Add one line to the table, in pixels."""
    height, width = table.sizes[owner]
    x1, y1, x2, y2 = line.box
    outline = None
    if line.ring is not None:
        outline = [[v * (height if k % 2 else width) for k, v in enumerate(line.ring)]]
        finite = np.isfinite(outline[0]).all()
        if finite and not drawable(outline, (height, width)):
            text = f"the outline in line {number} reaches too far beyond its picture; only its box is kept"
            where, picture = table.where[owner], str(table.paths[owner])
            problems.append(Problem("broken outline", where, text, "warning", picture=picture))
            outline = None
    label = classes.ids.index(line.number) if line.number in classes.ids else -1
    table.owners.append(owner)
    table.boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
    table.labels.append(label)
    table.classes.append(classes[label] if label >= 0 else f"id {line.number}")
    assert table.outlines is not None
    table.outlines.append(outline)


def _in_pixels(points: list[tuple[float, ...]], table: Table, count: int) -> np.ndarray:
    """Return (M, K, 3) float32 key points; what is no finite number is not visible."""
    placed = np.asarray(points, dtype=np.float64).reshape(-1, count, 3)
    sizes = np.asarray(table.sizes, dtype=np.float64).reshape(-1, 2)[np.asarray(table.owners, dtype=np.int64)]
    placed[..., :2] *= sizes[:, None, ::-1]
    placed[~np.isfinite(placed).all(-1) | (np.abs(placed) > 1e6).any(-1)] = 0
    return placed.astype(np.float32)
