"""Pascal VOC: one XML file a picture.

    root/Annotations/NAME.xml   root/JPEGImages/NAME.jpg   root/ImageSets/Main/SPLIT.txt   root/classes.txt (ours)

Corners are taken as they are written, in continuous coordinates: so LabelImg, CVAT and most tools of today write them.
Only files of the original challenge (their <database> says "The VOC2007 Database") count pixels from 1 and include the
last one; there, 1 is subtracted from xmin and ymin. We write the first form.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from allsight.data.formats.assembly import Table, assemble, classes_of, measured
from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.pictures.dataset import Dataset, Problem
from allsight.data.pictures.reading import PICTURE_SUFFIXES
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary


def voc_splits(root: str | Path) -> list[str]:
    """Return the names of the splits of a VOC folder; one nameless split if it has no lists, none if it is no VOC."""
    root = Path(root)
    if not (root / "Annotations").is_dir() or not any((root / "Annotations").glob("*.xml")):
        return []
    return sorted(path.stem for path in (root / "ImageSets" / "Main").glob("*.txt") if "_" not in path.stem) or [""]


def read_voc(root: str | Path, split: str = "") -> Dataset:
    """Read a VOC folder.

    Classes are those of `classes.txt`, one a line, or all that occur in the folder (in any split), sorted.

    Args:
        root: the folder that holds Annotations.
        split: the name of a list in ImageSets/Main; empty for every XML file there is.

    Raises:
        AnnotationError: there is no such folder or list. A broken XML file is a problem of one example only.
    """
    root = Path(root)
    files = {path.stem: path for path in sorted((root / "Annotations").glob("*.xml"))}
    if not files:
        raise AnnotationError(f"{root}: has no XML files in Annotations; give a folder in VOC form")
    wanted = _listed(root, split) if split else list(files)
    problems: list[Problem] = []
    pictures = _pictures(root)
    table = Table(columns={"difficult": []})
    broken = set()
    parsed: dict[str, ElementTree.Element] = {}
    given = _class_list(root)
    # Without a list of classes, those of the other splits have to be known too.
    for stem in files if given is None else [stem for stem in wanted if stem in files]:
        path = files[stem]
        try:
            parsed[stem] = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError, UnicodeError, LookupError, ValueError) as error:
            broken.add(stem)
            if stem in wanted:
                problems.append(Problem("broken annotation", str(path), f"is not readable XML ({error}); left out"))
    classes = given or Vocabulary(tuple(sorted({n for tree in parsed.values() for n in _names(tree)})))
    for stem in wanted:
        if stem in parsed:
            _add(table, files[stem], parsed[stem], pictures, problems)
        elif stem not in broken:
            missing = str(root / "Annotations" / f"{stem}.xml")
            problems.append(Problem("missing annotation", missing, f"is listed in {split}.txt but not there; left out"))
    table.labels = [classes.index(name) if name in classes else -1 for name in table.classes]
    examples, found = assemble(table, classes)
    return Dataset(tuple(examples), classes, problems=(*problems, *found), name=root.name, split=split)


def _listed(root: Path, split: str) -> list[str]:
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        there = ", ".join(voc_splits(root))
        raise AnnotationError(f"{path}: cannot be read ({type(error).__name__}); there are: {there}") from None
    return [line.strip() for line in lines if line.strip()]


def _class_list(root: Path) -> Vocabulary | None:
    path = root / "classes.txt"
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise AnnotationError(f"{path}: is not readable text ({type(error).__name__}); save it as UTF-8") from None
    return classes_of(path, (line.strip() for line in lines if line.strip()))


def _pictures(root: Path) -> dict[str, Path]:
    """Return the pictures by full name and, for annotations that name no file, by stem."""
    folder = next((f for f in (root / "JPEGImages", root / "images", root) if f.is_dir()), root)
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES]
    return {path.stem: path for path in reversed(found)} | {path.name: path for path in found}


def _names(tree: ElementTree.Element) -> list[str]:
    return [name for item in tree.iter("object") if (name := (item.findtext("name") or "").strip())]


def _add(
    table: Table,
    file: Path,
    tree: ElementTree.Element,
    pictures: dict[str, Path],
    problems: list[Problem],
) -> None:
    """Add one parsed annotation to the table, or say why not."""
    named = (tree.findtext("filename") or "").strip()
    path = pictures.get(named) or pictures.get(file.stem)
    if path is None:
        problems.append(Problem("missing picture", str(file), f"its picture {named or file.stem!r} is not there"))
        return
    height, width = (_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    said = (int(height), int(width)) if height > 0 and width > 0 else None  # NaN and 0 x 0: not said
    size = measured(path, said, problems)
    if size is None:
        return
    first = 1 if (tree.findtext("source/database") or "").startswith("The VOC20") else 0
    owner = len(table.paths)
    table.paths.append(path)
    table.sizes.append(size)
    table.where.append(str(file))
    for item in tree.iter("object"):
        corners = [_number(item.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax")]
        table.owners.append(owner)
        table.boxes.append((corners[0] - first, corners[1] - first, corners[2], corners[3]))
        table.classes.append((item.findtext("name") or "").strip() or "no name")
        table.columns["difficult"].append((item.findtext("difficult") or "0").strip() == "1")


def _number(text: str | None) -> float:
    """Return the number that `text` writes, NaN if it writes none: the box is then reported and dropped."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def write_voc(dataset: Dataset, root: str | Path) -> None:
    """Write one split in VOC form, pictures copied to `JPEGImages`.

    A crowd is written as difficult, which evaluation ignores alike. Masks, keypoints, tags and captions are left out.

    Args:
        dataset: its split names the list, "all" if it has none.
        root: the folder; other splits may stand there already.
    """
    root = Path(root)
    names = copy_pictures(dataset, root / "JPEGImages", distinct_stems=True)
    for example, name in zip(dataset, names, strict=True):
        put_text(root / "Annotations" / f"{Path(name).stem}.xml", _to_xml(example.annotation, name))
    stems = "".join(f"{Path(name).stem}\n" for name in names)
    put_text(root / "ImageSets" / "Main" / f"{dataset.split or 'all'}.txt", stems)
    put_text(root / "classes.txt", "".join(f"{name}\n" for name in dataset.object_classes or ()))


def _to_xml(scene: Scene, name: str) -> str:
    tree = ElementTree.Element("annotation")

    def add(parent: ElementTree.Element, tag: str, value: object) -> None:
        ElementTree.SubElement(parent, tag).text = str(value)

    add(tree, "filename", name)
    size = ElementTree.SubElement(tree, "size")
    for tag, value in (("width", scene.size[1]), ("height", scene.size[0]), ("depth", 3)):
        add(size, tag, value)
    ignored = [flags.tolist() for flags in (scene.difficult, scene.crowd) if flags is not None]
    boxes = scene.boxes.tolist() if scene.boxes is not None else []
    for i, (label, box) in enumerate(zip(scene.names(), boxes, strict=True)):
        item = ElementTree.SubElement(tree, "object")
        add(item, "name", label)
        add(item, "difficult", int(any(flags[i] for flags in ignored)))
        corners = ElementTree.SubElement(item, "bndbox")
        for tag, number in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            add(corners, tag, f"{number:.9g}")  # nine digits carry a float32 exactly
    ElementTree.indent(tree)
    return ElementTree.tostring(tree, encoding="unicode") + "\n"
