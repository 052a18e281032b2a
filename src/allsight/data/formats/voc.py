"""Pascal VOC: one XML file a picture.

    root/Annotations/[SUB/]NAME.xml   root/JPEGImages/[SUB/]NAME.jpg   root/ImageSets/Main/SPLIT.txt   root/classes.txt
    root/annotations/NAME.xml         root/images/NAME.jpg                               (as many small data sets are)
    root/SPLIT/NAME.xml               root/SPLIT/NAME.jpg                                (as Roboflow exports)
    root/NAME.xml                     root/NAME.jpg                                      (as LabelImg saves)

Corners are taken as they are written, in continuous coordinates: so LabelImg, CVAT and most tools of today write them.
Only files of the original challenge (their <database> says "The VOC2007 Database") count pixels from 1 and include the
last one; there, 1 is subtracted from xmin and ymin. We write the first form.

The picture of an annotation is the one whose name but for its ending is that of the XML file; else the one that
<filename> names. Where the two are different pictures, that is said.
"""

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.entries import FLAGS
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import read_lines, read_xml
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.listing import files_below, files_in, folders_in
from allsight.data.roles import role_of
from allsight.errors import AnnotationError
from allsight.scene import Vocabulary

_FOLDERS = ("annotations", "annotation", "annots", "xml", "xmls", "labels")
_PICTURES = ("JPEGImages", "images", "Images", "imgs", "img")
_FEW = 3  # files that are opened to see what they are


@dataclass(frozen=True)
class Layout:
    """Where things lie.

    Args:
        files: the XML files of every split by the names of their pictures but for the ending.
        lists: the list of names of every split, where lists make the splits.
        folders: where pictures are looked for. root: the data set.
    """

    root: Path
    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    lists: dict[str, Path] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()


def voc_layout(root: str | Path) -> Layout | None:
    """Return how a VOC data set is laid out, or None if it is none."""
    root = Path(root)
    homes = sorted(folders_in(root), key=lambda path: (path.name != "Annotations", path))
    for home in homes:
        if home.name.lower() not in _FOLDERS or not _is_voc(files := files_below(home, {".xml"})):
            continue
        by_name = {path.relative_to(home).with_suffix("").as_posix(): path for path in files}
        lists = {p.stem: p for p in files_in(root / "ImageSets" / "Main", {".txt"}) if not _of_one_class(p)}
        named = [root / name for name in _PICTURES if (root / name).is_dir()]
        if not lists and all(role_of(name.partition("/")[0]) for name in by_name if "/" in name):
            splits: dict[str, dict[str, Path]] = {}
            for name, path in by_name.items():
                splits.setdefault(name.partition("/")[0] if "/" in name else "", {})[name] = path
            return Layout(root, splits, {}, tuple(named or [root]))
        return Layout(root, {"": by_name}, lists, tuple(named or [root]))
    beside = {}
    for folder in (root, *homes):
        files = files_in(folder, {".xml"})
        if (folder == root or role_of(folder.name)) and _is_voc(files):
            beside[folder.name if folder != root else ""] = {path.stem: path for path in files}
    return Layout(root, beside) if beside else None


def _is_voc(files: list[Path]) -> bool:
    """Whether one of the first files is an annotation of one picture."""
    for path in files[:_FEW]:
        try:
            if b"<annotation>" in path.read_bytes()[:4096] or b"<annotation " in path.read_bytes()[:4096]:
                return True
        except OSError:
            continue
    return bool(files) and files[0].parent.name == "Annotations"


def _of_one_class(path: Path) -> bool:
    """Whether a list is the challenge's of one class, `cat_train.txt`: a name and -1, 0 or 1 in every line."""
    if "_" not in path.stem:
        return False
    try:
        lines = read_lines(path)
    except AnnotationError:
        return False
    return all(re.search(r"\S\s+-?[01]$", line) for line in lines)


def voc_splits(root: str | Path) -> list[str]:
    """Return the names of the splits of a VOC folder; one nameless split if it has no lists, none if it is no VOC."""
    layout = voc_layout(root)
    return [] if layout is None else sorted(layout.lists or layout.files)


def read_voc(root: str | Path, split: str = "") -> Dataset:
    """Read a VOC folder.

    Classes are those of `classes.txt`, one a line, or all that occur in the folder (in any split), sorted.

    Args:
        root: the folder that holds Annotations.
        split: the name of a list in ImageSets/Main, or of a folder; empty for every XML file there is.

    Raises:
        AnnotationError: there is no such folder or list. A broken XML file is a problem of one example only.
    """
    root = Path(root)
    layout = voc_layout(root)
    if layout is None:
        raise AnnotationError(f"{root}: has no XML files in Annotations; give a folder in VOC form")
    known = set(layout.lists or layout.files)
    if split and split not in known:
        raise AnnotationError(f"{root}: has no list or folder {split!r}; there are: {', '.join(sorted(known))}")
    problems: list[Problem] = []
    every = {(part, name): path for part, files in layout.files.items() for name, path in files.items()}
    wanted = _wanted(layout, split, problems)
    given = _class_list(root)
    parsed: dict[Path, ElementTree.Element] = {}
    # Without a list of classes, those of the other splits have to be known too.
    for path in every.values() if given is None else wanted.values():
        try:
            parsed[path] = read_xml(path)
        except AnnotationError as error:
            if path in wanted.values():
                text = f"{str(error).removeprefix(f'{path}: ')}; left out"
                problems.append(Problem("broken annotation", str(path), text))
    names = sorted({name for tree in parsed.values() for name in _names(tree)})
    classes = given or classes_of(root, names)
    table = Table(columns={"difficult": []})
    finders: dict[Path, Finder] = {}
    for name, path in wanted.items():
        if path in parsed:
            beside = path.parent if not layout.folders else root
            finder = finders.setdefault(beside, Finder(layout.folders or [path.parent]))
            _add(table, name, path, parsed[path], finder, problems)
    table.label(classes)
    examples, found = assemble(table, classes)
    outlined = sum(item.find("polygon") is not None for path in wanted.values() for item in _objects(parsed.get(path)))
    if outlined:
        text = (
            f"{outlined} objects have an outline beside their box, which is not read from this form; export COCO for it"
        )
        problems.append(Problem("outline", str(root), text, "warning"))
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=root.name, split=split)


def _wanted(layout: Layout, split: str, problems: list[Problem]) -> dict[str, Path]:
    """Return the files of a split by name; what a list names without a file is a problem."""
    if not layout.lists:
        parts = [split] if split else list(layout.files)
        return {
            f"{part}/{name}" if len(parts) > 1 else name: p for part in parts for name, p in layout.files[part].items()
        }
    files = layout.files[""]
    if not split:
        return files
    listed = read_lines(layout.lists[split])
    names = [line if line in files else line.rpartition(".")[0] or line for line in listed]
    names = [name if name in files else line for name, line in zip(names, listed, strict=True)]
    if len(set(names)) < len(names):
        text = f"lists {len(names) - len(set(names))} pictures more than once; each is read once"
        problems.append(Problem("listed twice", str(layout.lists[split]), text, "warning"))
    for name in dict.fromkeys(names):
        if name not in files:
            missing = str(layout.root / "Annotations" / f"{name}.xml")
            text = f"is listed in {split}.txt but not there; left out"
            problems.append(Problem("missing annotation", missing, text))
    return {name: files[name] for name in dict.fromkeys(names) if name in files}


def _class_list(root: Path) -> Vocabulary | None:
    path = root / "classes.txt"
    return classes_of(path, read_lines(path)) if path.is_file() else None


def _objects(tree: ElementTree.Element | None) -> list[ElementTree.Element]:
    return [] if tree is None else list(tree.iter("object"))


def _names(tree: ElementTree.Element) -> list[str]:
    return [name for item in tree.iter("object") if (name := (item.findtext("name") or "").strip())]


def _picture(name: str, file: Path, named: str, finder: Finder, problems: list[Problem]) -> Path | None:
    """Return the picture of an annotation; see the module."""
    head, _, tail = name.partition("/")
    own = finder.of_stem(name) or (finder.of_stem(tail) if tail and role_of(head) else None)
    other = finder.find(named) if named else None
    if own is None or other is None or own == other:
        return own or other
    if other.stem == own.stem:  # a.jpg and a.png
        return other
    text = f"says it belongs to {named} but is called as {own.name}, which is there too; read as that of {own.name}"
    problems.append(Problem("picture of another", str(file), text, "warning", picture=str(own)))
    return own


def _add(
    table: Table,
    name: str,
    file: Path,
    tree: ElementTree.Element,
    finder: Finder,
    problems: list[Problem],
) -> None:
    """Add one parsed annotation to the table, or say why not."""
    named = (tree.findtext("filename") or "").strip()
    path = _picture(name, file, named, finder, problems)
    if path is None:
        problems.append(Problem("missing picture", str(file), f"its picture {named or file.stem!r} is not there"))
        return
    height, width = (_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    # NaN, 0 x 0 and what no picture has: not said.
    said = (int(height), int(width)) if 0 < height < 2**31 and 0 < width < 2**31 else None
    size = measured(path, said, problems)
    if size is None:
        return
    first = 1 if (tree.findtext("source/database") or "").startswith("The VOC20") else 0
    owner = table.picture(path, size, str(file), problems)
    for item in tree.iter("object"):
        corners = [_number(item.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax")]
        table.owners.append(owner)
        table.boxes.append((corners[0] - first, corners[1] - first, corners[2], corners[3]))
        table.classes.append((item.findtext("name") or "").strip() or "no name")
        difficult = FLAGS.get(written := (item.findtext("difficult") or "").strip().lower())
        if difficult is None:
            text = f"an object is difficult {written!r}, which is neither 0 nor 1; read as 0"
            problems.append(Problem("unclear flag", str(file), text, "warning", picture=str(path)))
        table.columns["difficult"].append(bool(difficult))


def _number(text: str | None) -> float:
    """Return the number that `text` writes, NaN if it writes none: the box is then reported and dropped."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
