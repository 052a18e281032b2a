"""A data set written in COCO form."""

import json
from pathlib import Path
from typing import Any

from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.pictures.dataset import Dataset
from allsight.scene import Vocabulary


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
