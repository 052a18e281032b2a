"""What a YOLO data set says about itself: in a YAML file, in Darknet's obj.data, or by its folders alone."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allsight.data.formats.assembly import classes_of
from allsight.data.formats.parsing import read_lines, read_yaml
from allsight.data.pictures.listing import files_in, folders_in
from allsight.data.pictures.reading import PICTURE_SUFFIXES
from allsight.data.roles import role_of
from allsight.errors import AnnotationError
from allsight.scene import Vocabulary

CONFIG = "data.yaml"
SPLITS = ("train", "val", "valid", "test")
CLASSES = ("classes.txt", "obj.names", "labels/classes.txt", "predefined_classes.txt")
MOST_CLASSES = 100_000
MOST_POINTS = 1000
_NOTHING = ("", "null", "~")
_YAML = frozenset((".yaml", ".yml"))


@dataclass(frozen=True)
class Config:
    """A description.

    Args:
        file: what messages name, a file or the folder.
        splits: of every split, the folders and lists of pictures as they are written.
        names: the classes, as they are written.
        base: what the file's `path` says, or empty.
        root: the folder that was asked for, which pictures are not looked for outside of; None if the file itself was.
        extra: what else it says.
    """

    file: Path
    splits: dict[str, list[str]]
    names: Any
    base: str = ""
    root: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder that names are relative to."""
        return self.file if self.file.is_dir() else self.file.parent

    def classes(self) -> Vocabulary:
        """Return the classes with their numbers; raises AnnotationError if there is no list of them."""
        names = self.names
        try:
            numbered = list(names.items() if isinstance(names, dict) else enumerate(names))
            ranked = sorted((_number(number), name) for number, name in numbered)
            if isinstance(names, str) or not all(isinstance(name, str) for _, name in ranked):
                raise TypeError
        except (TypeError, ValueError):
            text = f"{self.file}: `names` is no list of classes; write `names: [cat, dog]`"
            raise AnnotationError(text) from None
        if len(ranked) > MOST_CLASSES:
            raise AnnotationError(f"{self.file}: names {len(ranked):,} classes; at most {MOST_CLASSES:,} can be read")
        return classes_of(self.file, (name for _, name in ranked), (number for number, _ in ranked))

    def points(self) -> tuple[int, int] | None:
        """Return how many key points an object has, of 2 or 3 numbers each; None if the file names none."""
        shape = self.extra.get("kpt_shape")
        if shape is None or shape in _NOTHING:
            return None
        try:
            count, each = map(int, shape)
        except (TypeError, ValueError):
            count, each = 0, 0
        if each not in (2, 3) or not 0 < count <= MOST_POINTS:
            raise AnnotationError(f"{self.file}: kpt_shape is not a count and 2 or 3; write `kpt_shape: [17, 3]`")
        return count, each

    def point_names(self, count: int) -> Vocabulary:
        """Return the names of the key points, their numbers where the file has none."""
        written = self.extra.get("kpt_names")
        names = next(iter(written.values()), None) if isinstance(written, dict) else written
        fits = isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names)
        return classes_of(self.file, names if fits and names else map(str, range(count)))

    def places(self, split: str) -> list[tuple[str, Path]]:
        """Return the folders and lists of a split: as they are written, and where they are.

        Raises:
            AnnotationError: one is not there, or outside of the data set.
        """
        return [(entry, self._place(split, entry)) for entry in self.splits[split]]

    def missing(self, split: str) -> str | None:
        """Return what is wrong with the pictures of a split, or None if they are there."""
        try:
            self.places(split)
        except AnnotationError as error:
            return str(error).removeprefix(f"{self.file}: ")
        return None

    def _place(self, split: str, written: str) -> Path:
        entry = written.replace("\\", "/")
        candidates = [self.home / self.base / entry, self.home / entry]
        outside = entry.startswith("../") and not self.base
        if outside:
            # Roboflow writes ../train/images in a file that lies beside train: its own folder comes before a neighbour.
            candidates.insert(0, self.home / entry.lstrip("./"))
        elif (self.home / labels_for(Path(entry))).is_dir():
            candidates.append(self.home.parent / entry)  # several forms of annotation beside one folder of pictures
        elif entry.startswith("data/"):
            candidates.append(self.home / entry.removeprefix("data/"))  # CVAT's obj.data
        place = next((path for path in candidates if os.path.exists(path)), None)
        if place is None:
            raise AnnotationError(f"{self.file}: its {split} pictures {written!r} are not there; mend the path")
        if outside and place != candidates[0] and self.root is not None and not _within(place, self.root):
            text = (
                f"its {split} pictures {written!r} lie outside of {self.root}; mend the path, or name the file itself"
            )
            raise AnnotationError(f"{self.file}: {text}")
        return place


def _number(text: Any) -> int:
    number = int(text)
    if abs(number) >= 2**31:
        raise ValueError
    return number


def _within(path: Path, folder: Path) -> bool:
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


def labels_for(path: Path) -> Path:
    """Return the path with its last part `images` turned to `labels`."""
    parts = list(path.parts)
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] == "images":
            return Path(*parts[:i], "labels", *parts[i + 1 :])
    return path


def config_of(root: str | Path) -> Config | None:
    """Return the description of a YOLO data set, or None if there is none.

    Where boxes and outlines of the same pictures lie side by side, `object_detection` is preferred.

    Raises:
        AnnotationError: there is a `data.yaml`, or the file that was named, and it cannot be read.
    """
    root = Path(root)
    if root.is_file():
        if root.suffix.lower() in _YAML:
            return _from_yaml(root, None)
        return _from_darknet(root, None) if root.suffix.lower() == ".data" else None
    if not root.is_dir():
        return None
    below = [path for folder in folders_in(root) for path in files_in(folder, _YAML)]
    below.sort(key=lambda path: (path.parent.name != "object_detection", path))
    for path in (*files_in(root, _YAML), *below):
        try:
            value = read_yaml(path)
        except AnnotationError:
            continue
        if isinstance(value, dict) and "names" in value and any(value.get(split, "") != "" for split in SPLITS):
            return _from_yaml(path, root)
    usual = root / CONFIG
    if usual.is_file():
        return _from_yaml(usual, root)
    darknet = next(iter(files_in(root, {".data"})), None)
    return _from_darknet(darknet, root) if darknet is not None else _from_folders(root)


def _from_yaml(file: Path, root: Path | None) -> Config:
    value = read_yaml(file)
    if not isinstance(value, dict):
        raise AnnotationError(f"{file}: does not map names to values; give a YAML file in YOLO form")
    splits = {}
    for split in SPLITS:
        entries = value.get(split, "")
        entries = [entries] if isinstance(entries, str) else entries
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            if "names" in value:
                raise AnnotationError(f"{file}: its {split} is no path and no list of paths; write images/{split}")
            continue
        if kept := [entry for entry in entries if entry not in _NOTHING]:
            splits[split] = kept
    base = value.get("path", "")
    return Config(file, splits, value.get("names"), base if isinstance(base, str) else "", root, value)


def _from_darknet(file: Path, root: Path | None) -> Config | None:
    """Return what Darknet's obj.data says: lines such as `train = data/train.txt`."""
    pairs = {key.strip(): value.strip() for line in read_lines(file) for key, _, value in [line.partition("=")]}
    written = pairs.get("names")
    if not written:
        return None
    names = next((p for p in (file.parent / written, file.parent / Path(written).name) if p.is_file()), None)
    if names is None:
        raise AnnotationError(f"{file}: its names {written!r} are not there; mend the path")
    splits = {key: [value] for key, value in pairs.items() if role_of(key) and value}
    return Config(file, splits, read_lines(names), root=root)


def _from_folders(root: Path) -> Config | None:
    """Return what folders say without a description: labels beside pictures, and a list of classes if there is one."""
    splits = {}
    for split in ("", *(path.name for path in folders_in(root) if role_of(path.name))):
        for images, labels in ((f"images/{split}", f"labels/{split}"), (f"{split}/images", f"{split}/labels")):
            images, labels = images.strip("/"), labels.strip("/")
            if _has_pictures(root / images) and _has_labels(root / labels):
                splits[split] = [images]
    inner = [path.name for path in folders_in(root / "images") if _has_labels(root / "labels" / path.name)]
    splits |= {name: [f"images/{name}"] for name in inner}
    if not splits and _has_pictures(root) and any((root / name).is_file() for name in CLASSES):
        splits = {"": ["."]} if _has_labels(root) else {}
    if not splits:
        return None
    listed = next((root / name for name in CLASSES if (root / name).is_file()), None)
    return Config(root, splits, read_lines(listed) if listed else None, root=root)


def _has_pictures(folder: Path) -> bool:
    return bool(files_in(folder, PICTURE_SUFFIXES))


def _has_labels(folder: Path, most: int = 20) -> bool:
    """Whether text files in a folder, but for lists of classes, begin with a class and four numbers or more."""
    files = [path for path in files_in(folder, {".txt"}) if path.name not in CLASSES and path.stat().st_size]
    return any(_is_label(path) for path in files[:most])


def _is_label(path: Path) -> bool:
    try:
        words = read_lines(path)[0].split()
        return len(words) >= 5 and all(map(float, words)) is not None
    except (AnnotationError, ValueError, IndexError):
        return False
