"""A data set written in Pascal VOC form."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.pictures.dataset import Dataset
from allsight.scene import Scene


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
