"""What lies at a path, recognised by what is in its files: one recogniser a form, each of which says why.

A form that is known but not read is refused by its name, with a form to export instead. Nothing is taken for a folder
per class because nothing else fits: folders called images, masks or train are no classes.
"""

import csv
from collections.abc import Callable
from pathlib import Path

from allsight.data.formats.arrays import array_splits
from allsight.data.formats.coco import coco_splits
from allsight.data.formats.cvat import cvat_file
from allsight.data.formats.folders import folder_splits, loose_pictures
from allsight.data.formats.idx import idx_splits
from allsight.data.formats.instance_maps import instance_splits
from allsight.data.formats.label_studio import label_studio_file
from allsight.data.formats.labelme import labelme_splits
from allsight.data.formats.mask_folders import mask_splits
from allsight.data.formats.parsing import read_json
from allsight.data.formats.region_maps import region_splits
from allsight.data.formats.voc import voc_layout
from allsight.data.formats.yolo_config import config_of
from allsight.data.pictures.listing import files_in, folders_in
from allsight.data.pictures.reading import PICTURE_SUFFIXES
from allsight.errors import AnnotationError

Recogniser = Callable[[Path], str | None]


def voc(root: Path) -> str | None:
    """Pascal VOC, in the challenge's folders or, as Roboflow and LabelImg have it, beside the pictures."""
    layout = voc_layout(root)
    if layout is None:
        return None
    first = next(path for files in layout.files.values() for path in files.values())
    where = "beside its picture" if not layout.folders else f"in {first.relative_to(root).parts[0]}"
    return f"{first.name} {where} is a VOC annotation"


def coco(root: Path) -> str | None:
    """COCO's JSON."""
    files = coco_splits(root)
    return f"{next(iter(files.values())).name} lists images as COCO does" if files else None


def yolo(root: Path) -> str | None:
    """YOLO's texts, described by a YAML file, by obj.data or by the folders alone."""
    config = config_of(root)
    if config is None or (not config.splits and config.names is None and config.file.name != "data.yaml"):
        return None
    if config.file.is_dir():
        return "text files of a class and numbers stand beside the pictures"
    return f"{config.file.name} names classes and folders of pictures"


def cvat(root: Path) -> str | None:
    """CVAT for images."""
    file = cvat_file(root)
    return f"{file.name} is an <annotations> of CVAT" if file else None


def labelme(root: Path) -> str | None:
    """Labelme's JSON files."""
    return "JSON files with shapes and an imagePath are labelme's" if labelme_splits(root) else None


def label_studio(root: Path) -> str | None:
    """Label Studio's JSON."""
    file = label_studio_file(root)
    return f"{file.name} is a list of tasks of Label Studio" if file else None


def instances(root: Path) -> str | None:
    """Maps of instances."""
    return "images/ and instances/ lie beside each other" if instance_splits(root) else None


def regions(root: Path) -> str | None:
    """Label maps that are described, CamVid's folders, or COCO panoptic."""
    return "label maps lie beside pictures" if region_splits(root) else None


def masks(root: Path) -> str | None:
    """Pictures and masks in two folders."""
    pairs = mask_splits(root)
    pair = next(iter(pairs.values()), None)
    return f"{pair.pictures.name}/ and {pair.masks.name}/ hold pictures of the same names" if pair else None


def arrays(root: Path) -> str | None:
    """Arrays in .npz files."""
    return "an .npz file" if array_splits(root) else None


def idx(root: Path) -> str | None:
    """MNIST's files."""
    return "files in MNIST's form" if idx_splits(root) else None


def folders(root: Path) -> str | None:
    """A folder per class."""
    return "folders of pictures, one a class" if folder_splits(root) else None


# In this order: a folder per class comes last because almost any folder looks like one.
RECOGNISERS: dict[str, Recogniser] = {
    "voc": voc,
    "coco": coco,
    "yolo": yolo,
    "cvat": cvat,
    "labelme": labelme,
    "label_studio": label_studio,
    "instances": instances,
    "regions": regions,
    "masks": masks,
    "arrays": arrays,
    "idx": idx,
    "folders": folders,
}
READ = (
    "VOC (XML), COCO (JSON), YOLO (data.yaml, or images/ and labels/), CVAT for images, labelme, Label Studio, maps of "
    "instances (instances/*.png), label maps (config.yaml, or images/ and masks/), a folder per class, .npz or MNIST's "
    "idx"
)


def recognise(root: str | Path) -> tuple[str, str]:
    """Return the form that lies at a path, and why.

    Raises:
        AnnotationError: nothing is there, a form that is not read (it is named), or nothing that is known.
    """
    root = Path(root)
    if not root.exists():
        raise AnnotationError(f"{root}: does not exist; check the path")
    for name, recogniser in RECOGNISERS.items():
        if name == "folders" and (other := _foreign(root)):
            raise AnnotationError(f"{root}: {other}")
        if why := recogniser(root):
            return name, why
    raise AnnotationError(f"{root}: no data set that can be read{_what_instead(root)}; give {READ}")


def _foreign(root: Path) -> str | None:
    """Return words on a form that is known but not read, or None."""
    inside = {path.name.lower() for path in folders_in(root)}
    export = "is not read; export COCO, VOC or YOLO"
    if {"segmentationclass", "jpegimages"} <= inside:
        return f"is VOC's form of segmentation (SegmentationClass/), which {export}, or write a config.yaml"
    if files_in(root, {".tfrecord", ".record", ".tfrecords"}):
        return f"holds TFRecord files, a form that {export}"
    if {"leftimg8bit", "gtfine"} <= inside:
        return "is Cityscapes' form, which is not read; write a config.yaml with its folders and ids"
    if {"image_2", "label_2"} <= inside:
        return f"is KITTI's form, which {export}"
    if (root / "gt" / "gt.txt").is_file():
        return f"is the MOT challenge's form, which {export}"
    for folder in (root, *folders_in(root)):
        for file in files_in(folder, {".json"})[:2]:
            if named := _json_form(file):
                return f"{file.name} is in {named} form, which {export}"
    return _table(root)


def _json_form(file: Path) -> str | None:
    """Return whose form a JSON file is in, or None."""
    if file.stat().st_size > 200_000_000:
        return None
    try:
        value = read_json(file)
    except AnnotationError:
        return None
    first = (
        next(iter(value.values() if isinstance(value, dict) else value), None) if isinstance(value, dict | list) else 0
    )
    keys = first.keys() if isinstance(first, dict) else ()
    if isinstance(value, dict) and ("_via_settings" in value or ("regions" in keys and "filename" in keys)):
        return "VGG Image Annotator's"
    if isinstance(value, dict) and isinstance(value.get("objects"), list) and "size" in value:
        return "Supervisely's"
    if isinstance(value, list) and {"image", "annotations"} <= set(keys):
        return "CreateML's"
    if isinstance(value, list) and {"image_id", "score"} <= set(keys):
        return "COCO's results (predictions without pictures), a"
    if isinstance(value, list) and {"annotation_id", "annotator"} & set(keys):
        return "Label Studio's JSON-MIN"
    return None


def _table(root: Path) -> str | None:
    """Return words on a table of labels beside loose pictures, or on tables of boxes; None if there are none."""
    for file in (f for folder in (root, *folders_in(root)) for f in files_in(folder, {".csv", ".tsv"})):
        try:
            with open(file, encoding="utf-8-sig", errors="replace", newline="") as opened:
                head = [cell.strip().lower() for cell in next(csv.reader([opened.readline(10_000)]), [])]
        except (OSError, csv.Error):
            continue
        if {"xmin", "ymin", "xmax", "ymax"} <= set(head):
            return f"{file.name} is a table of boxes, which is not read; export COCO, VOC or YOLO"
        if loose_pictures(root) and len(head) > 1:
            text = f"{file.name} seems to say of which class each picture is ({', '.join(head[:3])}), which is not read"
            return f"{text}; put the pictures of each class into a folder of its own"
    return None


def _what_instead(root: Path) -> str:
    """Return words on what a folder holds instead of annotations."""
    if not root.is_dir():
        return f" ({root.suffix or 'a file without ending'} is none of them)"
    loose = [path.name for path in loose_pictures(root)]
    if loose:
        told = ", ".join(loose[:4]) + (" ..." if len(loose) > 4 else "")
        return f": {told} hold{'s' if len(loose) == 1 else ''} pictures, but nothing says what is on them"
    if files_in(root, PICTURE_SUFFIXES):
        return ": there are pictures, but nothing says what is on them"
    return ""
